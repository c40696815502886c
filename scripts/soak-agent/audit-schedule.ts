import { instantOf, troubledMs } from './turns.ts';
import type { Trouble, Turn } from './turns.ts';

export interface ScheduleFacts {
  readonly intervalMs: number;
  /** Of all agents, in order. */
  readonly turns: readonly Turn[];
  /** Snapshots that a person made, or an agent that was killed before it said so. */
  readonly others: readonly string[];
  readonly troubles: readonly Trouble[];
}

const byInterval = ['change', 'retry'];
/** Starting a process on a busy machine, and what an announcement rounds away (a second). */
const punctualityMs = 3000;
const firstRetryMs = 5000;
const mostRetryMs = 300_000;

/** The promises of a schedule, held against what the logs say was done. Returns what was broken. */
export function auditSchedule(facts: ScheduleFacts): readonly string[] {
  return [...tooNear(facts), ...notWhenSaid(facts), ...notRetried(facts)];
}

/** No two snapshots nearer than the interval, unless somebody asked for the second. */
function tooNear({ intervalMs, turns, others }: ScheduleFacts): readonly string[] {
  const made = [
    ...turns.flatMap(({ snapshot, reason }) => (snapshot === undefined ? [] : [{ id: snapshot, reason }])),
    ...others.map((id) => ({ id, reason: 'another' })),
  ].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return made.flatMap(({ id, reason }, index) => {
    const before = made[index - 1];
    if (before === undefined || !byInterval.includes(reason)) return [];
    const apartMs = instantOf(id) - instantOf(before.id);
    return apartMs >= intervalMs
      ? []
      : [`snapshot ${id} (${reason}) came ${apartMs} ms after ${before.id} (${before.reason})`];
  });
}

/** A backup begins when the last announcement says, unless the agent could not. */
function notWhenSaid({ turns, troubles }: ScheduleFacts): readonly string[] {
  return turns.flatMap(({ reason, scheduledMs, startedMs, pid }) => {
    if (!byInterval.includes(reason)) return [];
    if (scheduledMs === undefined)
      return [`a backup (${reason}) of agent ${pid} at ${iso(startedMs)} was not announced`];
    const offMs = startedMs - scheduledMs;
    const excusedMs = offMs > 0 ? troubledMs(troubles, scheduledMs, startedMs) : 0;
    return Math.abs(offMs) - excusedMs <= punctualityMs
      ? []
      : [
          `a backup (${reason}) of agent ${pid} began ${offMs} ms after its announced time ${iso(scheduledMs)}`,
        ];
  });
}

/** A failure of the schedule's is tried again after 5 s, 10 s, 20 s … and an interval at most. */
function notRetried({ turns, troubles, intervalMs }: ScheduleFacts): readonly string[] {
  const findings: string[] = [];
  let [failures, pid] = [0, 0];
  for (const [index, turn] of turns.entries()) {
    if (turn.pid !== pid) [failures, pid] = [0, turn.pid];
    const { outcome, endedMs, retryAtMs } = turn;
    if (outcome !== 'failed' || endedMs === undefined) {
      failures = 0;
      continue;
    }
    if (retryAtMs === undefined) {
      findings.push(`a failed backup at ${iso(endedMs)} is not tried again`);
      continue;
    }
    const most = Math.min(firstRetryMs * 2 ** failures, mostRetryMs, intervalMs);
    const delayMs = retryAtMs - endedMs;
    failures += 1;
    if (delayMs < most * 0.75 - 100 || delayMs > most + 100)
      findings.push(
        `failure ${failures} in a row, at ${iso(endedMs)}, is to be tried again after ${delayMs} ms`,
      );
    const next = turns[index + 1];
    // Its agent may have ended before.
    if (next?.pid !== pid) continue;
    const lateMs = next.startedMs - retryAtMs;
    if (lateMs - troubledMs(troubles, retryAtMs, next.startedMs) > punctualityMs)
      findings.push(`the failure at ${iso(endedMs)} was tried again ${lateMs} ms late`);
  }
  return findings;
}

export const iso = (ms: number): string => new Date(ms).toISOString().slice(11, 23);
