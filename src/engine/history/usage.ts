import type { Context } from '../context.ts';

/** What the remote holds below its prefix: snapshots, current files, the log, leases, and what is yet to be swept. */
export interface RemoteUsage {
  readonly objects: number;
  readonly bytes: number;
  /** All were counted; else there are more than these. */
  readonly isWhole: boolean;
}

/** A question must cost little, however much there is: so many pages, of a thousand objects each in S3. */
const mostPages = 10;

/** Lists the remote. */
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
