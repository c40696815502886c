import type { Context } from '../context.ts';

/** Everything below the remote's prefix: snapshots, current files, the log, leases, and garbage. */
export interface RemoteUsage {
  readonly objects: number;
  readonly bytes: number;
  /** False if there is more than was counted. */
  readonly isWhole: boolean;
}

/** Limits what a question costs. In S3, a page has a thousand objects. */
const mostPages = 10;

/** Counts by listing the remote. */
export async function measureUsage({ remote, signal }: Context): Promise<RemoteUsage> {
  let [objects, bytes, pages] = [0, 0, 0];
  for await (const page of remote.list('', { signal })) {
    pages += 1;
    if (pages > mostPages) return { objects, bytes, isWhole: false };
    objects += page.objects.length;
    bytes += page.objects.reduce((sum, object) => sum + object.size, 0);
  }
  return { objects, bytes, isWhole: true };
}
