import type { CopyTarget } from '../api/copy-operations.ts';
import type { Clock } from '../platform/clock.ts';
import type { DaemonEvent } from '../platform/events.ts';
import type { RunOperation } from './run-operation.ts';

export interface CopierOptions {
  readonly target: string | CopyTarget;
  /** Time between the beginnings of two copies at least. */
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly run: RunOperation;
  readonly emit: (event: DaemonEvent) => void;
  /** Calls the listener after each backup that made a snapshot. Returns the function that ends this. */
  readonly onSnapshot: (listener: () => void) => () => void;
}

const [firstRetryMs, longestRetryMs] = [30_000, 3_600_000];

/**
 * Copies the newest snapshot at the start, and after backups that made one, until the signal aborts. Copies run beside backups: they hold none up. One
 * that fails is told by its own event, and tried again, later each time.
 */
export async function keepCopying(options: CopierOptions, signal: AbortSignal): Promise<void> {
  const { clock, intervalMs, onSnapshot } = options;
  const news = newsOf(onSnapshot, signal);
  let failures = 0;
  while (!signal.aborted) {
    const startMs = clock.monotonic();
    news.forget();
    const isCopied = await copyOnce(options, failures, signal);
    failures = isCopied ? 0 : failures + 1;
    if (isCopied) await news.wait();
    const pauseMs = isCopied ? intervalMs - (clock.monotonic() - startMs) : retryMs(failures);
    if (pauseMs > 0) await clock.sleep(pauseMs, { signal }).catch(() => undefined);
  }
  news.end();
}

async function copyOnce(
  { target, run, emit, clock }: CopierOptions,
  failures: number,
  signal: AbortSignal,
): Promise<boolean> {
  const startMs = clock.monotonic();
  try {
    const result = await run({
      operation: 'copy',
      reason: null,
      work: (operations) => operations.copyTo(target, { signal }),
      retryAtMs: () => (signal.aborted ? null : clock.now() + retryMs(failures + 1)),
    });
    const { to, newest, snapshots, sentBytes } = result;
    const tookMs = Math.round(clock.monotonic() - startMs);
    emit({ type: 'copied', to, newest, snapshots: snapshots.map(({ id }) => id), sentBytes, tookMs });
    return true;
  } catch {
    return false;
  }
}

const retryMs = (failures: number): number =>
  Math.min(firstRetryMs * 2 ** Math.min(failures - 1, 20), longestRetryMs);

/** Remembers that there is a new snapshot. */
function newsOf(onSnapshot: CopierOptions['onSnapshot'], signal: AbortSignal) {
  let isThere = false;
  let wake = (): void => undefined;
  const ring = (): void => {
    isThere = true;
    wake();
  };
  const end = onSnapshot(ring);
  signal.addEventListener('abort', ring, { once: true });
  return {
    forget: (): void => void (isThere = false),
    wait: async (): Promise<void> => {
      if (!isThere && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
    },
    end,
  };
}
