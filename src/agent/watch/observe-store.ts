import type { Exclusions } from '../../stores/content/exclusions.ts';
import { fingerprint, storeIdentity } from '../../stores/content/fingerprint.ts';
import { emptyScan, scanStore } from '../../stores/content/scan.ts';
import type { ScanResult } from '../../stores/content/scan.ts';

/** What the sizes and times of a store's files show. */
export interface Observation {
  /** Equal digests: nothing was written in between. */
  readonly digest: string;
  /** Another one: the directory was replaced. */
  readonly identity: string;
  /** The newest time of a file or directory, milliseconds since the epoch. */
  readonly newestMs: number;
}

export const nothingObserved: Observation = { digest: '', identity: '', newestMs: -Infinity };

/** Opens no file. A store that does not exist looks like an empty one. */
export async function observeStore(store: string, exclude: Exclusions | undefined): Promise<Observation> {
  const [scan, identity] = await Promise.all([
    scanStore(store, exclude).catch((error: unknown): ScanResult => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return emptyScan;
      throw error;
    }),
    storeIdentity(store),
  ]);
  return { digest: `${identity} ${fingerprint(scan)}`, identity, newestMs: newestMsOf(scan) };
}

function newestMsOf({ files, directoriesChangedNs }: ScanResult): number {
  let newestNs = directoriesChangedNs;
  for (const { path, mtimeNs, ctimeNs } of files) {
    // Opening a database touches what the fingerprint leaves out, too.
    if (path.endsWith('-shm')) continue;
    const changedNs = path.endsWith('-wal') ? mtimeNs : ctimeNs;
    if (changedNs > newestNs) newestNs = changedNs;
  }
  return Number(newestNs) / 1e6;
}
