import type { DaemonStatus } from '../../src/api/daemon-status.ts';
import { iso } from './audit-schedule.ts';
import type { Timeline } from './timeline.ts';
import { timeOf, troubledMs } from './turns.ts';
import type { AgentLog, Trouble } from './turns.ts';

/** What /status.json said, without the long lists. */
export interface Poll {
  readonly askedMs: number;
  readonly answeredMs: number;
  readonly status: Omit<DaemonStatus, 'history' | 'recentEvents'>;
}

export interface StatusFacts {
  readonly log: AgentLog;
  readonly polls: readonly Poll[];
  readonly timeline: Timeline;
  readonly troubles: readonly Trouble[];
}

/** From a write to the status that says so: file events, their batch, a busy machine. */
const noticeMs = 3000;
const overdueMs = 2500;
/** How late the log may be beside the status, on a machine with much else to do. */
const logLagMs = 50;

interface Expected {
  readonly operation: string | undefined;
  readonly errorCode: string | undefined;
  readonly failures: number;
  /** When the present series of saved writes was captured at the earliest. */
  readonly savedMs: number | undefined;
  readonly isDirty: boolean;
}

/** Holds each answer of an agent against its own log and against what the writer knows. */
export function auditStatus({ log, polls, timeline, troubles }: StatusFacts): readonly string[] {
  const findings: string[] = [];
  const lines = log.lines.filter(({ type }) => type.startsWith('operation-') || type === 'changed');
  let expected: Expected = {
    operation: undefined,
    errorCode: undefined,
    failures: 0,
    savedMs: undefined,
    isDirty: false,
  };
  let [next, backupMs] = [0, 0];
  for (const { askedMs, answeredMs, status } of polls) {
    for (; next < lines.length; next += 1) {
      const line = lines[next];
      if (line === undefined || timeOf(line) >= askedMs) break;
      if (line.type === 'operation-started' && line['operation'] === 'backup') backupMs = timeOf(line);
      expected = after(expected, line, backupMs);
    }
    const find = (message: string): void =>
      void findings.push(`status of agent ${log.pid} at ${iso(askedMs)}: ${message}`);
    const upcoming = lines[next];
    // A line of the same moment may be in the answer, or not; the state changes some milliseconds before it is written.
    const isSettled = upcoming === undefined || timeOf(upcoming) > answeredMs + logLagMs;
    const isExcused =
      troubledMs(
        troubles.filter(({ what }) => what === 'stopped'),
        askedMs - noticeMs,
        answeredMs,
      ) > 0;
    if (isSettled) {
      if (status.running?.operation !== expected.operation)
        find(
          `running is ${status.running?.operation ?? 'nothing'}, the log says ${expected.operation ?? 'nothing'}`,
        );
      if (status.lastError?.code !== expected.errorCode)
        find(
          `lastError is ${status.lastError?.code ?? 'null'}, the log says ${expected.errorCode ?? 'null'}`,
        );
      if (status.failures !== expected.failures)
        find(`failures is ${status.failures}, not ${expected.failures}`);
      if (expected.isDirty && status.dirtySinceMs === null) find('dirtySinceMs is null after a change');
    }
    if (isExcused) continue;
    const { savedMs } = expected;
    const written = savedMs === undefined ? undefined : timeline.firstWrite(savedMs, askedMs - noticeMs);
    if (written !== undefined && status.dirtySinceMs === null && isSettled)
      find(
        `all is saved, but something was written at ${iso(written)}, the last backup began at ${iso(savedMs ?? 0)}`,
      );
    const { dirtySinceMs } = status;
    if (isSettled && written !== undefined && dirtySinceMs !== null && dirtySinceMs > written + noticeMs)
      find(`dirtySinceMs is ${iso(dirtySinceMs)}, the first write ${iso(written)}`);
    if (status.state === 'waiting' && (status.nextBackupAtMs ?? Infinity) < askedMs - overdueMs)
      find(`the next backup was to begin at ${iso(status.nextBackupAtMs ?? 0)}, and has not`);
  }
  return findings;
}

function after(expected: Expected, line: AgentLog['lines'][number], backupMs: number): Expected {
  const operation = String(line['operation']);
  switch (line.type) {
    case 'changed':
      return { ...expected, isDirty: true };
    case 'operation-started':
      return operation === 'lease' ? expected : { ...expected, operation };
    case 'operation-failed': {
      const { code } = line['error'] as { code: string };
      const failures = expected.failures + (operation === 'backup' ? 1 : 0);
      return { ...expected, operation: undefined, errorCode: code, failures };
    }
    case 'operation-finished': {
      const isSaved = operation === 'backup' && line['outcome'] !== 'too-soon';
      return {
        operation: undefined,
        errorCode: undefined,
        failures: operation === 'backup' ? 0 : expected.failures,
        savedMs: isSaved ? backupMs : expected.savedMs,
        // What changed meanwhile was told by no line of its own.
        isDirty: isSaved ? false : expected.isDirty,
      };
    }
    default:
      return expected;
  }
}
