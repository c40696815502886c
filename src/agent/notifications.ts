import { stat } from 'node:fs/promises';
import type { Clock } from '../platform/clock.ts';
import { fromFileSystem } from '../platform/errors.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { notifyPath } from '../home/home.ts';
import type { Home } from '../home/home.ts';

/**
 * Tells the agent beside a store that the store was written, by touching a file in the agent's home. So it works from every
 * language and container that shares the disk, and waits until an agent sees it.
 */
export async function notifyAgent(fs: FileSystem, home: Home, nowMs: number): Promise<void> {
  const path = notifyPath(home);
  try {
    await fs.makeDirectory(home.dir);
    const file = await fs.openForWrite(path);
    await file.close();
    await fs.setAttributes(path, { mtimeMs: nowMs });
  } catch (error) {
    throw fromFileSystem(error, `Cannot notify the agent by "${path}"`);
  }
}

const everyMs = 1000;

/** Calls `onNotice` within a second of each notification until the signal aborts. */
export async function listenForNotifications(
  home: Home,
  {
    clock,
    signal,
    onNotice,
  }: { readonly clock: Clock; readonly signal: AbortSignal; readonly onNotice: () => void },
): Promise<void> {
  const noticedAt = (): Promise<bigint> =>
    stat(notifyPath(home), { bigint: true }).then(
      (stats) => stats.mtimeNs,
      () => 0n,
    );
  let seen = await noticedAt();
  for (;;) {
    await clock.sleep(everyMs, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const found = await noticedAt();
    if (found !== seen) onNotice();
    seen = found;
  }
}
