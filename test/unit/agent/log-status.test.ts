import { beforeEach, describe, expect, it } from 'vitest';
import { unsavedSince } from '../../../src/agent/continuous/log-status.ts';
import type { ScheduleState } from '../../../src/agent/schedule/schedule.ts';
import { createStatusRecorder } from '../../../src/agent/status-recorder.ts';
import type { StatusRecorder } from '../../../src/agent/status-recorder.ts';
import { readinessOf } from '../../../src/web/readiness.ts';
import { sampleCosts, sampleEvents } from '../../support/sample-events.ts';
import { virtualClock } from '../../support/virtual-clock.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

const minute = 60_000;
let clock: VirtualClock;
let recorder: StatusRecorder;
let startedAtMs: number;

const stateOf = (dirtySinceMs: number | null): ScheduleState => ({
  dirtySinceMs,
  lastChangeAtMs: null,
  lastSnapshotAtMs: null,
  logDueSinceMs: null,
  fixedUntilMs: 0,
  failures: 0,
  retryAtMs: null,
  working: null,
});

beforeEach(() => {
  clock = virtualClock();
  startedAtMs = clock.now();
  const identity = {
    version: '1',
    pid: 1,
    host: 'h',
    store: '/s',
    remote: 's3://b/p',
    intervalMs: 24 * 60 * minute,
    cron: null,
  };
  recorder = createStatusRecorder(identity, { clock, continuousMs: 2000 });
  recorder.record(sampleEvents.started);
  recorder.recordSchedule(stateOf(startedAtMs), null);
});

const following = sampleEvents['log-following'];
const shipped = sampleEvents['log-shipped'];
const broken = sampleEvents['log-broken'];
const trouble = sampleEvents['log-trouble'];
const since = (): number | null => unsavedSince(recorder.status());

describe('the status of a log', () => {
  it('is null without one', () => {
    const { version, pid, host, store, remote, intervalMs, cron } = recorder.status();
    const plain = createStatusRecorder({ version, pid, host, store, remote, intervalMs, cron }, { clock });
    plain.record(shipped);
    expect(plain.status().log).toBeNull();
  });

  it('calls nothing saved before it follows a snapshot, and all that is behind one', () => {
    expect(since()).toBe(startedAtMs);
    recorder.record(following);
    expect(since()).toBeNull();
    recorder.record({ type: 'log-pending', sinceMs: startedAtMs + 500 });
    expect(since()).toBe(startedAtMs + 500);
    recorder.record({ ...shipped, unsavedSinceMs: startedAtMs + 900 });
    expect(since()).toBe(startedAtMs + 900);
    recorder.record(shipped);
    expect(since()).toBeNull();
    expect(recorder.status().log).toMatchObject({
      snapshot: shipped.snapshot,
      upTo: 4571,
      segments: 2,
      operations: 500,
      bytes: 800_000,
      lagMs: 2100,
    });
    const { put, bytesSent } = sampleCosts.requests;
    expect(recorder.status().log?.requests).toMatchObject({ put: 3 * put, bytesSent: 3 * bytesSent });
  });

  it('counts from the snapshot that it follows', () => {
    recorder.record(following);
    recorder.record(shipped);
    recorder.record(following);
    expect(recorder.status().log?.segments).toBe(1);
    recorder.record({ ...following, snapshot: '2026-11-22T12-00-00.000Z-12345678' });
    expect(recorder.status().log).toMatchObject({ segments: 0, bytes: 0 });
  });

  it('keeps the oldest unsaved write through trouble and a gap, until the log follows another snapshot', () => {
    recorder.record(following);
    recorder.record({ ...trouble, sinceMs: startedAtMs + 100 });
    recorder.record({ ...trouble, sinceMs: null });
    recorder.record(broken);
    recorder.record({ ...broken, isGap: false });
    expect(recorder.status().log).toMatchObject({
      unsavedSinceMs: startedAtMs + 100,
      gaps: 1,
      broken: { why: broken.why },
      trouble: { code: 'REMOTE_UNREACHABLE' },
    });
    recorder.record(following);
    expect(recorder.status().log).toMatchObject({
      unsavedSinceMs: null,
      gaps: 1,
      broken: null,
      trouble: null,
    });
  });

  it('is overdue when something is unsaved for more than five minutes, and says why', async () => {
    recorder.record(following);
    recorder.record({ ...trouble, sinceMs: clock.now() });
    await clock.advance(5 * minute);
    expect(recorder.status().isOverdue).toBe(false);
    await clock.advance(1000);
    expect(recorder.status().isOverdue).toBe(true);
    const { isReady, reasons } = readinessOf(recorder.status(), clock.now());
    expect(isReady).toBe(false);
    expect(reasons[0]).toBe(
      'Changes are not saved for 5m 1s, and the interval is 2s; the log of writes: Cannot put: timed out',
    );
    recorder.record(shipped);
    expect(recorder.status().isOverdue).toBe(false);
  });

  it('is overdue when no snapshot was made for five minutes after a gap, unless nothing is dirty', async () => {
    recorder.record(following);
    recorder.record(broken);
    await clock.advance(5 * minute + 1000);
    expect(recorder.status().isOverdue).toBe(true);
    expect(readinessOf(recorder.status(), clock.now()).reasons[0]).toContain(broken.why);
    recorder.recordSchedule(stateOf(null), null);
    expect(recorder.status().isOverdue).toBe(false);
  });

  it('does not push other events out', () => {
    recorder.record(following);
    for (let index = 0; index < 300; index += 1) {
      recorder.record({ type: 'log-pending', sinceMs: startedAtMs });
      recorder.record(shipped);
    }
    expect(recorder.status().recentEvents.map(({ event }) => event.type)).toEqual([
      'started',
      'log-following',
    ]);
  });
});
