import { epochMsOf } from '../../src/log/layout.ts';
import type { LogLine } from '../../test/support/running-agent.ts';

/** A period in which an agent may be late, and why. */
export interface Trouble {
  readonly fromMs: number;
  toMs: number;
  readonly what: string;
}

/** One agent's log from its start to its end. */
export interface AgentLog {
  readonly pid: number;
  readonly lines: readonly LogLine[];
}

/** One backup as an agent's log tells it. */
export interface Turn {
  readonly pid: number;
  readonly reason: string;
  readonly startedMs: number;
  /** Undefined: its agent ended first. */
  readonly endedMs: number | undefined;
  readonly outcome: string | undefined;
  /** Of the snapshot it made, finished or not. */
  readonly snapshot: string | undefined;
  readonly committedMs: number | undefined;
  /** When the schedule, as last announced, wanted it. */
  readonly scheduledMs: number | undefined;
  /** When a failure is to be tried again. */
  readonly retryAtMs: number | undefined;
}

export const timeOf = (line: LogLine): number => Date.parse(line.time);

/** The backups of an agent, in order. */
export function turnsOf({ pid, lines }: AgentLog): readonly Turn[] {
  const turns: Turn[] = [];
  let turn: Turn | undefined;
  let scheduledMs: number | undefined;
  const end = (): void => {
    if (turn !== undefined) turns.push(turn);
    turn = undefined;
  };
  for (const line of lines) {
    const atMs = timeOf(line);
    if (line.type === 'scheduled') {
      const dueMs = line['atMs'] as number | null;
      // What became due while the one before ran on begins at once.
      scheduledMs = dueMs === null ? undefined : Math.max(dueMs, atMs);
    }
    if (line.type === 'committed' && turn !== undefined)
      turn = { ...turn, snapshot: String(line['id']), committedMs: atMs };
    if (line['operation'] !== 'backup') continue;
    if (line.type === 'operation-started') {
      end();
      const nothing = { endedMs: undefined, outcome: undefined, snapshot: undefined };
      const later = { committedMs: undefined, retryAtMs: undefined };
      turn = { pid, reason: String(line['reason']), startedMs: atMs, scheduledMs, ...nothing, ...later };
    } else if (line.type === 'operation-finished' && turn !== undefined) {
      turn = { ...turn, endedMs: atMs, outcome: String(line['outcome']) };
      end();
    } else if (line.type === 'operation-failed' && turn !== undefined) {
      const retryAtMs = (line['retryAtMs'] as number | null) ?? undefined;
      turn = { ...turn, endedMs: atMs, outcome: 'failed', retryAtMs };
      end();
    }
  }
  end();
  return turns;
}

/** How much of a period is one of trouble, milliseconds. */
export function troubledMs(
  troubles: readonly Pick<Trouble, 'fromMs' | 'toMs'>[],
  fromMs: number,
  toMs: number,
): number {
  let sum = 0;
  let reachedMs = fromMs;
  for (const trouble of troubles.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const beginMs = Math.max(reachedMs, trouble.fromMs);
    const endMs = Math.min(toMs, trouble.toMs);
    if (endMs <= beginMs) continue;
    sum += endMs - beginMs;
    reachedMs = endMs;
  }
  return sum;
}

export const instantOf = (id: string): number => epochMsOf(id);
