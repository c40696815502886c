import type { Manifest } from '../../log/manifest.ts';
import { isSyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import type { StoreStatistics } from '../../stores/adapter.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { snapshotContent } from '../snapshot-content.ts';
import { databasesOf } from '../soundness/judge-store.ts';
import { soundnessOf } from '../soundness/soundness.ts';
import { readExpected } from './expected-records.ts';
import type { ExpectedCollection } from './expected-records.ts';
import type { RestoredCopy } from './try-snapshot.ts';

export interface CheckedCopy {
  readonly damage: readonly string[];
  readonly findings: readonly string[];
  readonly records: number;
  readonly expected: readonly ExpectedCollection[] | undefined;
}

/** Compares everything in the copy: the database, full-text and ordinary indexes, vector indexes, and every record with its vector. */
export async function checkCopy(
  context: Context,
  { dir, manifest, adapter }: Pick<RestoredCopy, 'dir' | 'manifest' | 'adapter'>,
  scratch: string,
): Promise<CheckedCopy> {
  const { signal } = context;
  enterPhase(context, 'validate');
  const home = { ...context.home, store: dir, exclude: undefined };
  const report = await adapter.inspect(dir, {
    level: 'full',
    databases: databasesOf({ ...context, home }, manifest),
    signal,
  });
  const { damage, findings } = soundnessOf(report, manifest);
  const { records } = report.statistics;
  const found = {
    damage: damage.map(({ message }) => message),
    findings: findings.map(({ message }) => message),
    records,
    expected: undefined,
  };
  if (damage.length > 0) return found;
  throwIfAborted(signal, 'Drill');
  // Its parts may mean something else than to the reader of records.
  await adapter.reading?.assertKnown(dir, { scratch });
  try {
    const expected = await readExpected(adapter, dir, { scratch, salt: manifest.id, signal });
    return { ...found, damage: miscounted(context, manifest, report.statistics), expected };
  } catch (error) {
    if (!isSyncAgentError(error, 'STORE_CORRUPT')) throw error;
    return { ...found, damage: [error.message] };
  }
}

/** Nothing is compared if patterns of this host leave something out, because then nobody knows how many records that has. */
function miscounted({ home }: Context, manifest: Manifest, found: StoreStatistics): readonly string[] {
  const { statistics } = manifest;
  if (snapshotContent(manifest, home.exclude) !== manifest) return [];
  if (statistics.records !== found.records)
    return [`the manifest counts ${statistics.records} records, and the files have ${found.records}`];
  const counts = new Map(found.collections?.map((each) => [each.id, each.records]));
  return (statistics.collections ?? []).flatMap(({ id, name, records }) =>
    counts.get(id) === records
      ? []
      : [
          `of collection "${name}" the manifest counts ${records} records, and the files have ${counts.get(id) ?? 'none'}`,
        ],
  );
}
