import { historyDirectory } from '../../log/layout.ts';
import { reliableMs } from '../../log/retention.ts';
import type { Remote } from '../../remotes/remote.ts';
import type { Context } from '../context.ts';

/** Sizes of objects, by key. */
export type Present = ReadonlyMap<string, number>;

/**
 * What an interrupted copy left of a snapshot in the target. Each of these objects was sent after its bytes were verified, and objects appear
 * complete or not at all. Rotation may take what is older than the grace period, and a copy gives up after half of it: so only what is younger
 * than the other half counts.
 */
export async function presentObjects({ remote, settings, signal }: Context, id: string): Promise<Present> {
  const found = new Map<string, number>();
  for await (const page of remote.list(historyDirectory(id), { signal })) {
    const since = page.serverTime.getTime() - reliableMs(settings.graceMs);
    for (const { key, size, lastModified } of page.objects)
      if (lastModified.getTime() > since) found.set(key, size);
  }
  return found;
}

/** The same remote, to which nothing is sent that is there already. */
export function skippingPresent(remote: Remote, present: Present, serverTime: Date): Remote {
  return {
    location: remote.location,
    put: async (key, body, options) =>
      present.get(key) === body.size ? { serverTime } : remote.put(key, body, options),
    get: (key, options) => remote.get(key, options),
    head: (key, options) => remote.head(key, options),
    list: (prefix, options) => remote.list(prefix, options),
    listDirectories: (prefix, options) => remote.listDirectories(prefix, options),
    copy: async (from, to, options) => {
      if (options?.bytes === undefined || present.get(to) !== options.bytes)
        await remote.copy(from, to, options);
    },
    remove: (keys, options) => remote.remove(keys, options),
    sweepUploads: (prefix, before, options) => remote.sweepUploads(prefix, before, options),
    close: () => remote.close(),
  };
}
