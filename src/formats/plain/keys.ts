import { SyncAgentError } from '../../platform/errors.ts';
import { historyDirectory, makeSnapshotId, maxKeyBytes, pathProblem } from '../../log/layout.ts';
import type { ManifestFile } from '../../log/manifest.ts';

/** In manifests. */
export const plainNumber = 1;

/**
 * The plain format keeps each file as an object of its own:
 *
 *     history/<snapshot id>/<path>   every snapshot's files, written once
 *     <path>                         the newest snapshot's files, for people
 */
export function historyKey(snapshotId: string, path: string): string {
  return historyDirectory(snapshotId) + path;
}

/** The object that a snapshot has a file in: its own, or, with linked history, an older snapshot's. */
export function keyOf(snapshot: { readonly id: string }, file: Pick<ManifestFile, 'path' | 'in'>): string {
  return historyKey(file.in ?? snapshot.id, file.path);
}

export function currentKey(path: string): string {
  return path;
}

/** Refuses files whose keys would be too long for the remote, or which would hide what is not theirs. */
export function assertStorable(
  paths: readonly string[],
  { prefixBytes }: { readonly prefixBytes: number },
): void {
  const overhead = prefixBytes + Buffer.byteLength(historyKey(makeSnapshotId(0, '00000000'), ''));
  for (const path of paths) {
    const problem =
      pathProblem(path) ??
      (overhead + Buffer.byteLength(path) > maxKeyBytes
        ? `is longer than the ${maxKeyBytes - overhead} bytes the remote has room for`
        : undefined);
    if (problem !== undefined) {
      throw new SyncAgentError('REFUSED', `Cannot back up "${path}": its path ${problem}`, {
        remedy: 'Rename the file or move it out of the store',
      });
    }
  }
}
