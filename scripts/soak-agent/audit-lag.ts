import { iso } from './audit-schedule.ts';
import { instantOf, troubledMs } from './turns.ts';
import type { Trouble, Turn } from './turns.ts';

export interface LagFacts {
  readonly intervalMs: number;
  /** Moments of acknowledged writes to one store. */
  readonly writes: readonly number[];
  /** Every snapshot of it. */
  readonly snapshots: readonly string[];
  /** When the store was lost, or left; what had come too late for a snapshot then is no fault. */
  readonly endedMs: number;
  readonly turns: readonly Turn[];
  readonly troubles: readonly Trouble[];
}

export interface LagAudit {
  readonly findings: readonly string[];
  /** How long each write waited for its snapshot where nothing was in the way, milliseconds. */
  readonly calmMs: readonly number[];
}

/** Starting a process, asking the remote and the settling of a store, on a busy machine. */
const slackMs = 3000;

/** Every acknowledged write is in a snapshot within the interval, and what was in the way. */
export function auditLag({ intervalMs, writes, snapshots, endedMs, turns, troubles }: LagFacts): LagAudit {
  const findings: string[] = [];
  const calmMs: number[] = [];
  const instants = snapshots.map(instantOf).toSorted((a, b) => a - b);
  let next = 0;
  for (const atMs of writes) {
    while (next < instants.length && (instants[next] ?? 0) < atMs) next += 1;
    const savedMs = instants[next];
    const untilMs = Math.min(savedMs ?? endedMs, endedMs);
    const within = turns.filter((turn) => turn.startedMs < untilMs && (turn.endedMs ?? untilMs) > atMs);
    const work = within.map((turn) => ({ fromMs: turn.startedMs, toMs: turn.endedMs ?? untilMs }));
    const retryMs = within.some(({ outcome }) => outcome === 'failed') ? intervalMs : 0;
    const excusedMs = troubledMs([...troubles, ...work], atMs, untilMs);
    const lagMs = untilMs - atMs;
    if (excusedMs === 0 && savedMs !== undefined) calmMs.push(lagMs);
    if (lagMs - excusedMs <= intervalMs + retryMs + slackMs) continue;
    findings.push(
      `what was written at ${iso(atMs)} was ${savedMs === undefined ? 'in no snapshot' : 'in a snapshot'} after ${lagMs} ms, ${excusedMs} of them excused`,
    );
  }
  return { findings, calmMs };
}
