import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import { timeLeft } from '../../platform/abort-signals.ts';
import { noRequests } from '../../platform/events.ts';
import type { RequestCounts } from '../../platform/events.ts';
import { subtractCounts } from '../../platform/counts/request-counts.ts';
import { storeExists } from '../../home/home.ts';
import { lockLog } from '../../home/lock.ts';
import { flushRoot } from '../../home/log-files.ts';
import type { OperationLog } from '../../stores/operation-log.ts';
import type { Context } from '../context.ts';
import { noLog } from './assert-keeps-log.ts';
import { Doorbell } from './watch/doorbell.ts';
import { FlushRequests } from './flush-requests.ts';
import { LogKeeper } from './log-keeper.ts';
import { LookPace } from './watch/look-pace.ts';
import { StoreReplaced } from './watch/same-store.ts';

export interface FollowOptions {
  /** Time between a write and the segment that has it, milliseconds. While nothing is written, nothing is sent. */
  readonly intervalMs: number;
  /** The lease of this host, asked for each segment. */
  readonly epoch: () => Promise<number | undefined>;
  /** Requests made so far. */
  readonly counts: () => RequestCounts;
}

export interface FollowResult {
  readonly type: 'followed';
  /** Everything that was acknowledged until the end is in the log of the newest snapshot. */
  readonly isSaved: boolean;
}

/** The shortest time between two looks at the store. A look costs a fraction of a millisecond. */
const lookMs = 20;
/** The longest, where no event comes. */
const idleMs = 500;
/** How long the files of a store may look like those of another kind. */
const patienceMs = 10_000;
/** How long to wait after a failed request. */
const retryMs = 2000;
/** A failed last attempt is not repeated with less time than this. */
const leastMs = 300;

/**
 * Writes what a store acknowledges into the log of its newest snapshot until the signal aborts, and then the rest. Holds the lock that
 * tells backups to hand over. Rejects with UNSUPPORTED for a kind of store that has no log.
 */
export async function followLog(
  context: Context,
  { intervalMs, epoch, counts }: FollowOptions,
): Promise<FollowResult> {
  const { home, fs, clock, emit } = context;
  const stopping = context.signal ?? new AbortController().signal;
  // A request that is under way when the agent stops is a part of the last segments.
  const working = { ...context, signal: undefined };
  await fs.makeDirectory(flushRoot(home));
  const lock = await lockLog(fs, home, { command: 'continuous' });
  const bell = new Doorbell();
  bell.watch(home.dir);
  bell.watch(flushRoot(home));
  stopping.addEventListener('abort', () => bell.ring(), { once: true });
  const flushes = new FlushRequests(context);
  const patientUntil = clock.monotonic() + patienceMs;
  let keeper: LogKeeper | undefined;
  const pace = new LookPace(bell, home.store);
  let dueMs: number | undefined;
  let shipping: Promise<void> | undefined;
  /** What the background met that no waiting mends. */
  let failed: { readonly cause: unknown } | undefined;
  let obeyAtMs = 0;
  /** Resolves when it has ended, well or not. */
  let obeying: Promise<true | { readonly cause: unknown }> | undefined;
  let counted = noRequests;
  /** The last look found what was written since the one before. */
  let hasFound = false;
  /** It was told that something waits to be saved. */
  let isPendingTold = false;

  const requestsSince = (): RequestCounts => {
    const before = counted;
    counted = counts();
    return subtractCounts(counted, before);
  };

  const open = async (): Promise<LogKeeper> => {
    if (!(await storeExists(home))) throw notYet(home.store);
    const adapter = await context.detectAdapter(home.store);
    const log = await adapter.operationLog?.();
    if (log !== undefined) return openKeeper(working, log);
    // A server that makes its first files is no other kind of store.
    if (clock.monotonic() < patientUntil) throw notYet(home.store);
    throw noLog(adapter.name);
  };
  const openKeeper = async (usable: Context, log: OperationLog): Promise<LogKeeper> => {
    const opened = new LogKeeper(usable, log, {
      onShipped: (segment) => {
        const unsavedSinceMs = opened.unsavedSinceMs ?? null;
        isPendingTold = unsavedSinceMs !== null;
        emit({
          type: 'log-shipped',
          snapshot: segment.snapshot,
          segment: segment.number,
          operations: segment.operations,
          bytes: segment.bytes,
          upTo: segment.to.number,
          lagMs: Math.max(0, clock.now() - segment.readAtMs),
          unsavedSinceMs,
          requests: requestsSince(),
        });
      },
      onBroken: (why, isGap) => emit({ type: 'log-broken', why, isGap }),
      onFollowing: (snapshot, { number }) => {
        isPendingTold = false;
        emit({ type: 'log-following', snapshot, upTo: number, requests: requestsSince() });
      },
    });
    try {
      await opened.begin();
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  };
  const shipAll = async (): Promise<void> => {
    const held = await epoch();
    while ((await keeper?.ship(held)) === true);
  };
  const trouble = (error: unknown): void => {
    if (!isSyncAgentError(error)) throw error;
    if (error.code === 'UNSUPPORTED') throw error;
    if (error.code !== 'BUSY' && error.code !== 'NOT_FOUND')
      emit({
        type: 'log-trouble',
        code: error.code,
        message: error.message,
        sinceMs: keeper?.unsavedSinceMs ?? null,
        requests: requestsSince(),
      });
  };
  /** Sends what is pending in the background, so that reading goes on. */
  const ship = (): void => {
    dueMs = undefined;
    shipping ??= shipAll()
      .catch((error: unknown) => {
        try {
          trouble(error);
          dueMs = clock.monotonic() + retryMs;
        } catch (cause) {
          failed = { cause };
        }
      })
      .finally(() => {
        shipping = undefined;
        bell.ring();
      });
  };
  const obey = async (): Promise<void> => {
    if (keeper === undefined || clock.monotonic() < obeyAtMs) return;
    try {
      await keeper.obey(epoch);
    } catch (error) {
      obeyAtMs = clock.monotonic() + retryMs;
      throw error;
    }
  };
  /** Reads, and obeys in the background if that takes requests: a server may purge what is not read meanwhile. True if nothing is left to obey. */
  const look = async (): Promise<boolean> => {
    try {
      keeper ??= await open();
      hasFound = keeper.read();
      if (obeying === undefined && !keeper.isObeyDue()) return true;
      obeying ??= obey().then(
        () => true as const,
        (cause: unknown) => ({ cause }),
      );
      const obeyed = await Promise.race([obeying, clock.sleep(lookMs)]);
      if (obeyed === undefined) return false;
      obeying = undefined;
      if (obeyed !== true) throw obeyed.cause;
      return true;
    } catch (error) {
      if (error instanceof StoreReplaced || isSyncAgentError(error, 'NOT_FOUND')) {
        await Promise.all([shipping, obeying]);
        obeying = undefined;
        keeper?.close();
        keeper = undefined;
      } else trouble(error);
      return false;
    }
  };

  const untilDueMs = (): number => Math.max(0, (dueMs ?? Infinity) - clock.monotonic());

  try {
    while (!stopping.aborted) {
      if (failed !== undefined) throw failed.cause;
      if (!pace.isPolling) await bell.wait(Math.min(idleMs, untilDueMs()));
      flushes.see();
      hasFound = false;
      const hasObeyed = await look();
      if (hasObeyed) flushes.promise(keeper?.savePoint());
      pace.looked(hasFound, clock.monotonic());
      const sinceMs = keeper?.unsavedSinceMs;
      if (sinceMs !== undefined && !isPendingTold) {
        isPendingTold = true;
        emit({ type: 'log-pending', sinceMs });
      }
      if (keeper?.hasPending === true) {
        dueMs ??= clock.monotonic() + intervalMs;
        if (shipping === undefined && (flushes.isWaiting || untilDueMs() === 0)) ship();
      }
      // Until then it may be behind a snapshot that does not count any more.
      if (hasObeyed) await flushes.answer(keeper?.savePoint());
      if (!stopping.aborted && obeying === undefined) await clock.sleep(lookMs);
    }
    return { type: 'followed', isSaved: await saveRest() };
  } finally {
    await Promise.all([shipping?.catch(() => undefined), obeying]);
    keeper?.close();
    bell.close();
    lock.release();
  }

  /** What was acknowledged before the end. Tries as long as there is time. */
  async function saveRest(): Promise<boolean> {
    for (;;) {
      await shipping;
      if (failed !== undefined) throw failed.cause;
      if (await look()) {
        try {
          await shipAll();
          return keeper?.isWhole === true;
        } catch (error) {
          trouble(error);
        }
      }
      if (obeying !== undefined) continue;
      if (keeper === undefined || timeLeft(stopping) < retryMs + leastMs) return false;
      await clock.sleep(lookMs);
    }
  }
}

const notYet = (store: string): SyncAgentError =>
  new SyncAgentError('NOT_FOUND', `Cannot follow the writes of "${store}": there is no store yet`);
