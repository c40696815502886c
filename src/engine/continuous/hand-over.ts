import { isLogFollowed } from '../../home/lock.ts';
import { logNextPath, readLogReady, writeLogFile } from '../../home/log-files.ts';
import { scratchRoot } from '../../home/home.ts';
import type { LogPosition } from '../../log/segments/position.ts';
import type { StoreImage } from '../backup/image/capture-store.ts';
import type { Context } from '../context.ts';

/** The follower answers within a request; then the snapshot is made without a log, and another one follows. */
const patienceMs = 15_000;
const pauseMs = 20;

export interface HandedOver {
  /** Where the image stands. Undefined if nobody follows the store's log, or if the log cannot go on from the image. */
  readonly position: LogPosition | undefined;
  /** The snapshot behind which all was written until now. */
  readonly continues: string | null;
}

const nobody: HandedOver = { position: undefined, continues: null };

/**
 * Hands the log of a store over to the snapshot that is about to be made of an image: from here on what is written goes behind it, too.
 */
export async function handOver(
  context: Context,
  image: Pick<StoreImage, 'dir' | 'store'>,
  id: string,
): Promise<HandedOver> {
  const { home, fs, clock, signal, emit } = context;
  const log = await image.store.operationLog?.();
  if (log === undefined || !(await isLogFollowed(home))) return nobody;
  const position = log.positionOf(image.dir, scratchRoot(home));
  if (position === undefined) return nobody;
  await writeLogFile(fs, logNextPath(home), { snapshot: id, position });
  const until = clock.monotonic() + patienceMs;
  while (clock.monotonic() < until) {
    const ready = await readLogReady(home);
    if (ready?.snapshot === id)
      return { position: ready.isReady ? position : undefined, continues: ready.continues };
    if (!(await isLogFollowed(home))) return nobody;
    await clock.sleep(pauseMs, { signal });
  }
  emit({
    type: 'warning',
    code: 'NOTICE',
    message: `The agent that saves what is written to "${home.store}" did not answer: snapshot ${id} has no log, and another snapshot will follow`,
  });
  return nobody;
}
