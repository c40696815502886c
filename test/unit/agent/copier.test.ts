import { describe, expect, it } from 'vitest';
import { keepCopying } from '../../../src/agent/copier.ts';
import { operationRunner } from '../../../src/agent/run-operation.ts';
import { createStatusRecorder } from '../../../src/agent/status-recorder.ts';
import type { Operations } from '../../../src/api/operations.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type { AgentEvent, DaemonEvent } from '../../../src/platform/events.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

const minute = 60_000;
const hour = 60 * minute;

/** Lets an agent run for three hours, and tells when copies began, in minutes. `snapshotsAt`: when backups made one, in minutes. */
async function live({
  snapshotsAt = [],
  fails = () => false,
  lastsMs = 1000,
}: {
  readonly snapshotsAt?: readonly number[];
  readonly fails?: (nth: number) => boolean;
  readonly lastsMs?: number;
}) {
  const clock = virtualClock();
  const beganMs = clock.now();
  const stopping = new AbortController();
  const events: (DaemonEvent | AgentEvent)[] = [];
  const atMinutes: number[] = [];
  let snapshot = 's0';
  const operations = {
    copyTo: async (target: string) => {
      expect(target).toBe('s3://offsite');
      const nth = atMinutes.push((clock.now() - beganMs) / minute) - 1;
      const newest = snapshot;
      await clock.sleep(lastsMs);
      if (fails(nth)) throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot reach it');
      return { type: 'copied', to: target, newest, snapshots: [{ id: newest }], sentBytes: 7 };
    },
  } as unknown as Operations;
  const identity = {
    version: '0',
    pid: 1,
    host: 'h',
    store: '/s',
    remote: 'r',
    intervalMs: hour,
    cron: null,
  };
  const recorder = createStatusRecorder(identity, { clock });
  const emit = (event: DaemonEvent | AgentEvent): void => {
    recorder.record(event);
    events.push(event);
  };
  const listeners = new Set<() => void>();
  const done = keepCopying(
    {
      target: 's3://offsite',
      intervalMs: hour,
      clock,
      run: operationRunner({ operationsFor: () => operations, clock, emit, onSnapshot: () => undefined }),
      emit,
      onSnapshot: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    stopping.signal,
  );
  const made = snapshotsAt.map(async (at, n) => {
    await clock.sleep(at * minute);
    snapshot = `s${n + 1}`;
    for (const listener of listeners) listener();
  });
  await clock.advance(3 * hour);
  await Promise.all(made);
  stopping.abort();
  await done;
  expect(listeners.size).toBe(0);
  return { atMinutes, events, copy: recorder.status().copy, status: recorder.status() };
}

describe('a running agent with a second remote', () => {
  it('copies at the start, and then only after a backup that made a snapshot', async () => {
    expect(await live({})).toMatchObject({ atMinutes: [0], copy: { snapshot: 's0', failures: 0 } });
    const { atMinutes, copy } = await live({ snapshotsAt: [90] });
    expect(atMinutes).toEqual([0, 90]);
    expect(copy).toMatchObject({ to: 's3://offsite', snapshot: 's1', lastError: null });
  });

  it('copies no more often than the interval says, and the last one in the end', async () => {
    const { atMinutes, copy } = await live({ snapshotsAt: [1, 2, 70] });
    expect(atMinutes).toEqual([0, 60, 120]);
    expect(copy).toMatchObject({ snapshot: 's3' });
  });

  it('does not miss a snapshot that is made while it copies', async () => {
    const { atMinutes, copy } = await live({ snapshotsAt: [10], lastsMs: 20 * minute });
    expect(atMinutes).toEqual([0, 60]);
    expect(copy).toMatchObject({ snapshot: 's1' });
  });

  it('tries a failed copy again, later each time, and tells since when', async () => {
    const { atMinutes, copy, events, status } = await live({ fails: (nth) => nth < 4, lastsMs: 0 });
    expect(atMinutes).toEqual([0, 0.5, 1.5, 3.5, 7.5]);
    expect(copy).toMatchObject({ failures: 0, lastError: null });
    expect(events.filter(({ type }) => type === 'operation-failed')).toHaveLength(4);
    // It is no failure of a backup.
    expect(status.lastError).toBeNull();
    const failed = await live({ fails: (nth) => nth > 0, snapshotsAt: [90] });
    expect(failed.copy).toMatchObject({
      snapshot: 's0',
      lastError: { code: 'REMOTE_UNREACHABLE' },
    });
    expect(failed.copy?.failures).toBeGreaterThan(3);
    expect(failed.status.lastError).toBeNull();
  });
});
