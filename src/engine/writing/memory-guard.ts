import type { Clock } from '../../platform/clock.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { Emit } from '../../platform/events.ts';
import { fullest, shareOf } from '../../platform/memory/memory-use.ts';
import type { MemoryUse } from '../../platform/memory/memory-use.ts';

export interface MemoryGuardOptions {
  readonly read: () => Promise<readonly MemoryUse[]>;
  /** The share of a limit above which nothing is sent, 0 to 1. */
  readonly threshold: number;
  readonly clock: Clock;
  readonly emit: Emit;
  /** How long it waits for memory, milliseconds. */
  readonly patienceMs?: number | undefined;
}

export interface MemoryGuard {
  /** Resolves when there is memory for the next batch. REFUSED if there is none for `patienceMs`. */
  pass(signal: AbortSignal | undefined): Promise<void>;
  /** How long it held the work up so far, milliseconds. */
  pausedMs(): number;
}

export const defaultMemoryThreshold = 0.8;
const defaultPatienceMs = 60_000;
const lookEveryMs = 500;

/** Holds writers back while memory is short: a server that the kernel kills in the middle of a write has to be repaired. */
export function memoryGuard({
  read,
  threshold,
  clock,
  emit,
  patienceMs = defaultPatienceMs,
}: MemoryGuardOptions): MemoryGuard {
  if (!(threshold > 0 && threshold <= 1)) {
    throw new SyncAgentError('USAGE', `Cannot use ${threshold} as the memory threshold`, {
      remedy: 'Give a share above 0 and up to 1',
    });
  }
  let pausedMs = 0;
  let isTold = false;
  const shortOf = async (): Promise<MemoryUse | undefined> => {
    const most = fullest(await read());
    if (most === undefined && !isTold) {
      isTold = true;
      const message = 'Memory cannot be read on this system: nothing holds writers back when it is short';
      emit({ type: 'warning', code: 'NOTICE', message });
    }
    return most !== undefined && shareOf(most) > threshold ? most : undefined;
  };
  return {
    pass: async (signal) => {
      let short = await shortOf();
      if (short === undefined) return;
      const startMs = clock.monotonic();
      const message = `${sentence(short)}, above ${percent(threshold)}: waiting up to ${Math.round(patienceMs / 1000)} s for memory`;
      emit({ type: 'warning', code: 'NOTICE', message });
      try {
        while (short !== undefined) {
          if (clock.monotonic() - startMs >= patienceMs) throw refusal(short, threshold);
          await clock.sleep(lookEveryMs, { signal });
          short = await shortOf();
        }
      } finally {
        pausedMs += clock.monotonic() - startMs;
      }
    },
    pausedMs: () => Math.round(pausedMs),
  };
}

function refusal(short: MemoryUse, threshold: number): SyncAgentError {
  return new SyncAgentError(
    'REFUSED',
    `Cannot send more records: ${sentence(short)}, above ${percent(threshold)}`,
    {
      remedy:
        'Give it more memory, or raise the limit with --memory-threshold. Then run it again: it goes on where it stopped',
    },
  );
}

const sentence = (use: MemoryUse): string =>
  `${use.of} uses ${percent(shareOf(use))} of its memory (${mebibytes(use.usedBytes)} of ${mebibytes(use.limitBytes)} MiB)`;
const percent = (share: number): string => `${Math.round(share * 100)} %`;
const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
