import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SyncAgentError } from '../../platform/errors.ts';
import { writeNewFile } from '../../platform/file-system.ts';
import { isLogFollowed } from '../../home/lock.ts';
import { flushRoot } from '../../home/log-files.ts';
import type { Context } from '../context.ts';

export interface FlushOptions {
  /** How long to wait, milliseconds; default 30 s. */
  readonly timeoutMs?: number;
  /** Make no backup if nobody follows the store's log, but resolve to `not-followed`. */
  readonly isLogOnly?: boolean;
}

export type FlushResult =
  /** Everything that was acknowledged before the call is in the log of the newest snapshot. */
  | { readonly type: 'flushed' }
  /** Nobody follows the store's log: only a snapshot can save it. */
  | { readonly type: 'not-followed' };

const defaultTimeoutMs = 30_000;
const pauseMs = 5;
const lookMs = 250;

/**
 * Asks the agent beside the store to save all that the store has acknowledged, and waits until it has. BUSY if it has not within the time:
 * what was written may or may not be saved then.
 */
export async function flushLog(
  { home, fs, clock, signal }: Pick<Context, 'home' | 'fs' | 'clock' | 'signal'>,
  { timeoutMs = defaultTimeoutMs }: FlushOptions = {},
): Promise<FlushResult> {
  if (!(await isLogFollowed(home))) return { type: 'not-followed' };
  const path = join(flushRoot(home), clock.randomHex(16));
  await fs.makeDirectory(flushRoot(home));
  await writeNewFile(fs, path, '');
  const until = clock.monotonic() + timeoutMs;
  let lookAtMs = clock.monotonic() + lookMs;
  try {
    for (;;) {
      if ((await stat(path).catch(() => undefined)) === undefined) return { type: 'flushed' };
      if (clock.monotonic() >= until)
        throw notSaved(`the agent has not answered within ${timeoutMs / 1000} s`);
      await clock.sleep(pauseMs, { signal });
      if (clock.monotonic() < lookAtMs) continue;
      if (!(await isLogFollowed(home))) throw notSaved('the agent has ended');
      lookAtMs = clock.monotonic() + lookMs;
    }
  } finally {
    await fs.remove(path);
  }
}

const notSaved = (why: string): SyncAgentError =>
  new SyncAgentError('BUSY', `Cannot tell that everything is saved: ${why}`, {
    remedy: 'Look at "sync-agent status": the remote may be out of reach',
  });
