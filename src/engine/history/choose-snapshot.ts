import { SyncAgentError } from '../../platform/errors.ts';
import { isSnapshotId } from '../../log/layout.ts';
import type { LogEntry } from '../../log/manifest.ts';

/**
 * Finds the snapshot that a user means by `name`: `latest`, `~N`, an id or the beginning of one, or a label, which means the newest
 * snapshot that has it. NOT_FOUND if there is none, USAGE if several ids begin with it.
 */
export function chooseSnapshot(entries: readonly LogEntry[], name: string | undefined): LogEntry {
  const newest = entries.at(-1);
  if (newest === undefined) throw noSuchSnapshot(name ?? 'latest', entries);
  if (name === undefined || name === 'latest') return newest;
  const back = /^~([0-9]{1,9})$/.exec(name)?.[1];
  if (back !== undefined) {
    const entry = entries.at(-1 - Number(back));
    if (entry === undefined) throw noSuchSnapshot(name, entries);
    return entry;
  }
  const labelled = isSnapshotId(name) ? undefined : entries.findLast((entry) => entry.label === name);
  if (labelled !== undefined) return labelled;
  const matches = entries.filter((entry) =>
    isSnapshotId(name) ? entry.id === name : entry.id.startsWith(name),
  );
  if (matches.length > 1) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot choose snapshot "${name}": ${matches.length} snapshots begin so`,
      {
        remedy: `Type more of it: ${matches.map((entry) => entry.id).join(', ')}`,
      },
    );
  }
  const [only] = matches;
  if (only === undefined || name === '') throw noSuchSnapshot(name, entries);
  return only;
}

/** The newest snapshot that was taken by then, milliseconds since the epoch. NOT_FOUND if none is so old. */
export function snapshotAt(entries: readonly LogEntry[], atMs: number): LogEntry {
  const found = entries.findLast(({ createdAt }) => Date.parse(createdAt) <= atMs);
  if (found !== undefined) return found;
  const [oldest] = entries;
  throw new SyncAgentError(
    'NOT_FOUND',
    `Cannot go back to ${new Date(atMs).toISOString()}: ${oldest === undefined ? 'the remote holds no snapshot' : `the oldest snapshot is of ${oldest.createdAt}`}`,
  );
}

export function noSuchSnapshot(name: string, entries: readonly LogEntry[]): SyncAgentError {
  return new SyncAgentError('NOT_FOUND', `Cannot find snapshot "${name}" among ${entries.length}`, {
    remedy: 'Run "sync-agent list" to see them',
  });
}
