import type { Manifest } from '../../log/manifest.ts';
import type { Problem, StoreReport, Verdict } from '../../stores/adapter.ts';

/** What the snapshot before says that matters to this one's soundness. */
export type SoundBase = Pick<Manifest, 'files' | 'findings' | 'damage'>;

/**
 * What of an adapter's report is damage. Of several databases in one directory nobody here can tell which the
 * application needs: a broken one that was renamed and kept must not end all backups. So one that is damaged blocks
 * only if there is something to lose by it: no database of the store is sound, or `base`, the snapshot before, holds a
 * sound one under its name. Else it is a finding.
 */
export function soundnessOf(
  report: Pick<StoreReport, 'damage' | 'findings' | 'databases'>,
  base: SoundBase | undefined,
): Verdict {
  const { damage, findings, databases = [] } = report;
  const damaged = new Set(damage.map(({ where }) => where));
  if (databases.every((path) => damaged.has(path))) return { damage, findings };
  const held = new Set(base?.files.map(({ path }) => path));
  for (const { where } of [...(base?.findings ?? []), ...(base?.damage ?? [])]) held.delete(where);
  const blocks = ({ where }: Problem): boolean => held.has(where) || !databases.includes(where);
  return {
    damage: damage.filter(blocks),
    findings: [...findings, ...damage.filter((problem) => !blocks(problem)).map(asOther)],
  };
}

/** For an error, which says all in one sentence. */
export const messagesOf = (problems: readonly Pick<Problem, 'message'>[]): string =>
  problems.map(({ message }) => message).join('; ');

const asOther = ({ where, message }: Problem): Problem => ({
  kind: 'other-database',
  where,
  message: `${message}; the store has other, sound databases, and no snapshot has a sound one of that name`,
  remedy: 'Move it out of the store if nobody needs it',
});
