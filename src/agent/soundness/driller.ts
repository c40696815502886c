import type { DrillReport } from '../../engine/drill/drill-report.ts';
import { readDrillRecord } from '../../home/records/drill-record.ts';
import type { Home } from '../../home/home.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DaemonEvent } from '../../platform/events.ts';
import type { RunOperation } from '../run-operation.ts';
import type { Scheduler } from '../schedule/scheduler.ts';

export interface DrillerOptions {
  /** Time between two drills. */
  readonly intervalMs: number;
  /** The command that starts a server, or `off`. */
  readonly server: string | undefined;
  readonly home: Home;
  /** Its URL, as `Remote.location`. */
  readonly remote: string;
  readonly clock: Clock;
  readonly run: RunOperation;
  /** A drill begins when no backup runs. Then it runs beside them: it holds none up. */
  readonly exclusively: Scheduler['exclusively'];
  readonly emit: (event: DaemonEvent) => void;
}

/** The first drill of a host that never drilled comes this long after the start, and one that could not be carried out is tried again. */
const soonMs = 3_600_000;
/** No timer is trusted for longer: clocks are set, machines sleep, and a person may drill by hand. */
const longestSleepMs = 60_000;

/**
 * Drills again and again until the signal aborts. When the next one is due is read from the record in the home, so that a host which starts
 * every day drills as well.
 */
export async function keepDrilling(options: DrillerOptions, signal: AbortSignal): Promise<void> {
  const { clock, home, remote, intervalMs, exclusively } = options;
  let notBeforeMs = -Infinity;
  const firstAtMs = clock.now() + Math.min(intervalMs, soonMs);
  while (!signal.aborted) {
    const last = (await readDrillRecord(home, remote))?.last.atMs;
    const nowMs = clock.now();
    // A time ahead comes from a clock that was wrong.
    const dueMs = last === undefined || last > nowMs ? firstAtMs : last + intervalMs;
    const waitMs = Math.max(dueMs, notBeforeMs) - nowMs;
    if (waitMs > 0) {
      await clock.sleep(Math.min(waitMs, longestSleepMs), { signal }).catch(() => undefined);
      continue;
    }
    await exclusively(async () => undefined, signal).catch(() => undefined);
    if (signal.aborted) return;
    await drillOnce(options, signal);
    // Also when it could not be remembered.
    notBeforeMs = clock.now() + Math.min(intervalMs, soonMs);
  }
}

async function drillOnce({ emit, run, server }: DrillerOptions, signal: AbortSignal): Promise<void> {
  try {
    const report = await run({
      operation: 'drill',
      reason: null,
      work: (operations) => operations.drill({ sample: true, server, signal }),
    });
    emit(eventOf(report));
  } catch {
    // It could not be carried out: its own event has told why.
  }
}

function eventOf(report: DrillReport): DaemonEvent {
  const { type, snapshot, records, problems, recovery, server, tookMs } = report;
  return {
    type: 'drilled',
    passed: type === 'passed',
    snapshot,
    records,
    problems: problems.map(({ message }) => message),
    recovery: recovery?.message ?? null,
    server: server.state,
    tookMs,
  };
}
