import type { Operations } from '../../api/operations.ts';
import type { Home } from '../../home/home.ts';
import type { Clock } from '../../platform/clock.ts';
import type { CheckedServer, DaemonEvent } from '../../platform/events.ts';
import { fingerprint, isSettled } from '../../stores/content/fingerprint.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { ServerReport } from '../../stores/reading.ts';
import type { RunOperation } from '../run-operation.ts';
import type { Scheduler } from '../schedule/scheduler.ts';

export interface CheckerOptions {
  /** Time between two checks at least. */
  readonly intervalMs: number;
  /** The running server, which is asked at each check. */
  readonly server: string | undefined;
  readonly home: Home;
  readonly clock: Clock;
  readonly run: RunOperation;
  /** Checks take turns with backups. */
  readonly exclusively: Scheduler['exclusively'];
  readonly emit: (event: DaemonEvent) => void;
}

/** A check that read for a second is followed by half a minute without one: it takes at most a thirtieth of the time. */
const restPerWork = 30;

interface Verdict {
  readonly damage: readonly string[];
  readonly findings: number;
}

/**
 * Checks the store again and again until the signal aborts. A store that was not written since its last check is not read
 * again: that costs a look at its files' times. A check that fails is told by its own event, and the next one comes all the same.
 */
export async function keepChecking(options: CheckerOptions, signal: AbortSignal): Promise<void> {
  const { clock, intervalMs, exclusively } = options;
  const check = checker(options);
  let waitMs = intervalMs;
  while (!signal.aborted) {
    await clock.sleep(waitMs, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const worked = await exclusively((turn) => check(turn), signal).catch(() => 0);
    waitMs = Math.max(intervalMs, worked * restPerWork);
  }
}

/** Resolves to how long it read, milliseconds: a process for it starts in a fraction of a second, once in an interval. */
function checker({
  clock,
  emit,
  home,
  run,
  server: url,
}: CheckerOptions): (signal: AbortSignal) => Promise<number> {
  let known: { readonly seen: string; readonly verdict: Verdict } | undefined;
  const asOperation = <T>(
    work: (operations: Operations) => Promise<T>,
    outcomeOf: (result: T) => string,
  ): Promise<T> => {
    let result: T | undefined;
    const call = async (operations: Operations) => {
      result = await work(operations);
      return { type: outcomeOf(result) };
    };
    return run({ operation: 'check', reason: null, work: call }).then(() => result as T);
  };

  return async (signal) => {
    const startMs = clock.monotonic();
    const elapsed = (): number => Math.round(clock.monotonic() - startMs);
    let tookMs: number | undefined;
    const place = url === undefined ? undefined : { url };
    try {
      const lookedAtMs = clock.now();
      const scan = await scanStore(home.store, home.exclude);
      const seen = fingerprint(scan);
      const isSame = known?.seen === seen;
      let server: ServerReport | null = null;
      if (!isSame || known === undefined) {
        const report = await asOperation(
          (operations) => operations.check({ server: place, signal }),
          ({ damage }) => (damage.length === 0 ? 'sound' : 'damaged'),
        );
        const damage = report.damage.map(({ message }) => message);
        known = {
          // A write within the tick of a file's timestamp would not be seen.
          seen: isSettled(scan.files, lookedAtMs) ? seen : '',
          verdict: { damage, findings: report.findings.length },
        };
        server = report.server;
        ({ tookMs } = report);
      } else if (place !== undefined) {
        server = await asOperation(
          (operations) => operations.checkServer(place, { signal }),
          ({ problems }) => (problems.length === 0 ? 'sound' : 'failing'),
        );
      }
      const { verdict } = known;
      emit({
        type: 'checked',
        isSound: verdict.damage.length === 0,
        ...verdict,
        isUnchanged: isSame,
        server: server === null ? null : factsOf(server),
        tookMs: (tookMs ??= elapsed()),
      });
    } catch {
      // Its own event has told it.
    }
    return tookMs ?? elapsed();
  };
}

function factsOf({ isReachable, heartbeatMs, collections, problems }: ServerReport): CheckedServer {
  const times = collections.flatMap(({ countMs, getMs, queryMs }) => [countMs, getMs, queryMs]);
  return {
    isReachable,
    heartbeatMs,
    slowestMs: times.reduce<number | null>(
      (most, ms) => (ms === null ? most : Math.max(most ?? 0, ms)),
      null,
    ),
    problems: problems.map(({ message }) => message),
  };
}
