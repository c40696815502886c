import type { OperationRecord } from './records.ts';

/** Operations that write the store, or let others write it. */
const writing: ReadonlySet<string> = new Set([
  'protect',
  'restore',
  'sync',
  'repair',
  'maintain',
  'rollback',
  'restore-archive',
  'import',
  'index',
  'restore-collection',
  'merge',
  'rebuild',
]);
/** Outcomes that prove the store sound when the operation ended: it was checked, or is a checked one. */
const proofs: ReadonlySet<string> = new Set(['committed', 'restored', 'repaired', 'maintained', 'rebuilt']);

/** Whether the store was sound when the operation ended, as far as the log tells. */
export function provesSound({
  state,
  outcome,
  isSound,
}: Pick<OperationRecord, 'state' | 'outcome' | 'isSound'>): boolean {
  return isSound ?? (state === 'done' && proofs.has(outcome ?? ''));
}

/**
 * The operations during which damage that was found just now may have appeared: those that wrote the store, and had not ended when the
 * store was last known to be sound. Oldest first.
 */
export function suspectsOf(records: readonly OperationRecord[]): readonly OperationRecord[] {
  const soundAt = records
    .filter(provesSound)
    .reduce((latest, { endedAt }) => ((endedAt ?? '') > latest ? (endedAt ?? '') : latest), '');
  return records.filter(
    (each) =>
      writing.has(each.operation) &&
      !provesSound(each) &&
      // Another operation has seen that it was dead by then.
      (each.endedAt === null || each.endedAt > soundAt),
  );
}
