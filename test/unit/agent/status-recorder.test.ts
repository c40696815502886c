import { beforeEach, describe, expect, it } from 'vitest';
import { isFailing } from '../../../src/web/readiness.ts';
import { createStatusRecorder } from '../../../src/agent/status-recorder.ts';
import type { StatusRecorder } from '../../../src/agent/status-recorder.ts';
import type { ScheduleState } from '../../../src/agent/schedule/schedule.ts';
import { sampleCosts, sampleEvents } from '../../support/sample-events.ts';
import { virtualClock } from '../../support/virtual-clock.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

const minute = 60_000;
const hour = 60 * minute;
let clock: VirtualClock;
let recorder: StatusRecorder;

beforeEach(() => {
  clock = virtualClock();
  recorder = createStatusRecorder(
    {
      version: '1.0.0',
      pid: 1,
      host: 'h',
      store: '/s',
      remote: 's3://b/p',
      intervalMs: hour,
      cron: null,
    },
    { clock },
  );
});

const state = (fields: Partial<ScheduleState>): ScheduleState => ({
  dirtySinceMs: null,
  lastChangeAtMs: null,
  lastSnapshotAtMs: null,
  logDueSinceMs: null,
  fixedUntilMs: 0,
  failures: 0,
  retryAtMs: null,
  working: null,
  ...fields,
});

describe('the status of an agent', () => {
  it('goes from starting to idle, waiting and working, and back', () => {
    expect(recorder.status().state).toBe('starting');
    recorder.record(sampleEvents.started);
    expect(recorder.status().state).toBe('idle');
    recorder.recordSchedule(state({ dirtySinceMs: clock.now() }), { atMs: clock.now(), reason: 'change' });
    expect(recorder.status()).toMatchObject({ state: 'waiting', nextBackupAtMs: clock.now() });
    recorder.record(sampleEvents['operation-started']);
    recorder.record({ type: 'phase', phase: 'upload' });
    recorder.record({ type: 'progress', phase: 'upload', done: 5, total: 10 });
    expect(recorder.status()).toMatchObject({
      state: 'working',
      running: { operation: 'backup', phase: 'upload', done: 5, total: 10 },
    });
    recorder.record(sampleEvents['operation-finished']);
    expect(recorder.status()).toMatchObject({ running: null, lastSuccessAtMs: clock.now() });
    recorder.record(sampleEvents.stopping);
    recorder.recordSchedule(state({}), null);
    expect(recorder.status().state).toBe('stopping');
    recorder.record(sampleEvents.stopped);
    expect(recorder.status().state).toBe('stopped');
  });

  it('keeps where the time of the last backup went, and not that of a restore', () => {
    recorder.record(sampleEvents['operation-started']);
    recorder.record(sampleEvents.phases);
    recorder.record(sampleEvents['operation-finished']);
    recorder.record({ type: 'operation-started', operation: 'restore', reason: null });
    recorder.record({ type: 'phases', phases: [] });
    expect(recorder.status().lastBackupPhases).toEqual(sampleEvents.phases.phases);
  });

  it('does not take a renewal of the lease for the end of a backup that runs beside it', () => {
    recorder.record(sampleEvents['operation-started']);
    recorder.record({ type: 'operation-started', operation: 'lease', reason: null });
    recorder.record({
      type: 'operation-finished',
      operation: 'lease',
      outcome: 'renewed',
      snapshot: null,
      ...sampleCosts,
    });
    expect(recorder.status().running).toMatchObject({ operation: 'backup' });
  });

  it('keeps the last error until the same operation succeeds', () => {
    recorder.record(sampleEvents['operation-failed']);
    recorder.record({ ...sampleEvents['operation-finished'], operation: 'restore', outcome: 'equal' });
    expect(recorder.status().lastError).toMatchObject({ code: 'REMOTE_UNREACHABLE', operation: 'backup' });
    recorder.record(sampleEvents['operation-finished']);
    expect(recorder.status().lastError).toBeNull();
  });

  it('is failing after a failure, also when the clock was set back since the last success', () => {
    recorder.record(sampleEvents['operation-finished']);
    clock.jump(-3 * hour);
    recorder.record(sampleEvents['operation-failed']);
    expect(isFailing(recorder.status())).toBe(true);
    recorder.record(sampleEvents['operation-finished']);
    expect(isFailing(recorder.status())).toBe(false);
  });

  it('does not count a backup that came too soon as a success', () => {
    recorder.record({ ...sampleEvents['operation-finished'], outcome: 'too-soon', snapshot: null });
    expect(recorder.status().lastSuccessAtMs).toBeNull();
  });

  it('is overdue an interval and some after the first unsaved change, and sooner when backups fail', () => {
    const dirtySinceMs = clock.now();
    recorder.recordSchedule(state({ dirtySinceMs }), null);
    clock.jump(hour + minute);
    expect(recorder.status().isOverdue).toBe(false);
    recorder.recordSchedule(state({ dirtySinceMs, failures: 1 }), null);
    expect(recorder.status().isOverdue).toBe(true);
    recorder.recordSchedule(state({ dirtySinceMs }), null);
    clock.jump(5 * minute);
    expect(recorder.status().isOverdue).toBe(true);
    recorder.recordSchedule(state({}), null);
    expect(recorder.status().isOverdue).toBe(false);
  });

  it('remembers the last events and no more, for months', () => {
    for (let n = 0; n < 1000; n += 1) recorder.record({ type: 'listening', url: `http://127.0.0.1:${n}/` });
    recorder.record({ type: 'progress', phase: 'upload', done: 1, total: 2 });
    const { recentEvents } = recorder.status();
    expect(recentEvents.length).toBe(200);
    expect(recentEvents.at(-1)?.event).toEqual({ type: 'listening', url: 'http://127.0.0.1:999/' });
  });
});
