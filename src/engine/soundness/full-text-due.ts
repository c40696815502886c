import type { Manifest } from '../../log/manifest.ts';

const dayMs = 24 * 60 * 60 * 1000;

/**
 * When the full-text indexes of a large database are to be compared with their texts next, milliseconds since the epoch. It
 * is most of a backup's work, and what it finds loses no record: an index can be made anew from the database. So a
 * backup does it once a day, the first one leaves it to a later one, and while `before`, the snapshot before, has such a
 * finding each does it. A date far ahead comes from a clock that was wrong, and does not count.
 */
export function fullTextDueMs(
  before: Pick<Manifest, 'createdAt' | 'fullTextDueAt' | 'findings'> | undefined,
  nowMs: number,
): number {
  if (before === undefined) return nowMs + dayMs;
  if (before.findings?.some(({ kind }) => kind === 'full-text') === true) return nowMs;
  const { createdAt, fullTextDueAt } = before;
  const dueMs = fullTextDueAt === undefined ? Date.parse(createdAt) + dayMs : Date.parse(fullTextDueAt);
  return dueMs - nowMs > dayMs ? nowMs : dueMs;
}
