import { array, assert, asyncProperty, boolean, integer } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fixedTimes } from '../../../src/agent/schedule/fixed-times.ts';
import type { ScheduleSettings } from '../../../src/agent/schedule/schedule.ts';
import { createScheduler } from '../../../src/agent/schedule/scheduler.ts';
import type { Scheduler, StartPoint } from '../../../src/agent/schedule/scheduler.ts';
import type { BackupResult } from '../../../src/engine/backup/backup.ts';
import { makeSnapshotId } from '../../../src/log/layout.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type { BackupReason, DaemonEvent } from '../../../src/platform/events.ts';
import { virtualClock } from '../../support/virtual-clock.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const clean: StartPoint = { dirtySinceMs: null, lastSnapshotAtMs: null };

/** The store equals the snapshot of this instant. */
const savedAt = (atMs: number): BackupResult => ({ type: 'unchanged', id: makeSnapshotId(atMs, '00000001') });

interface World {
  readonly clock: VirtualClock;
  readonly scheduler: Scheduler;
  readonly backups: { readonly startedAt: number; readonly reason: BackupReason; outcome: string }[];
  readonly events: DaemonEvent[];
  write(): void;
}

interface WorldOptions {
  readonly settings?: Partial<ScheduleSettings>;
  readonly durationMs?: number;
  /** Of the nth backup, from 0. */
  readonly fails?: (nth: number) => boolean;
  readonly clock?: VirtualClock;
}

function world({
  settings = {},
  durationMs = 0,
  fails = () => false,
  clock = virtualClock(),
}: WorldOptions = {}): World {
  const backups: World['backups'] = [];
  const events: DaemonEvent[] = [];
  const backUp = async (reason: BackupReason, { signal }: { signal: AbortSignal }): Promise<BackupResult> => {
    const backup = { startedAt: clock.now(), reason, outcome: 'working' };
    const nth = backups.push(backup) - 1;
    if (durationMs > 0) await clock.sleep(durationMs, { signal });
    if (fails(nth)) {
      backup.outcome = 'failed';
      throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot reach it');
    }
    backup.outcome = 'saved';
    return savedAt(backup.startedAt);
  };
  const scheduler = createScheduler({
    settings: { intervalMs: hour, settleMs: 2 * second, ...settings },
    clock,
    emit: (event) => events.push(event),
    backUp,
  });
  return { clock, scheduler, backups, events, write: () => scheduler.changed('events', clock.now()) };
}

const times = ({ backups }: World, from: number): readonly number[] =>
  backups.map((each) => each.startedAt - from);

describe('a scheduler', () => {
  it('does nothing while nothing changes', async () => {
    const each = world({ settings: { nextFixedTime: fixedTimes('0 * * * *') } });
    each.scheduler.start({ dirtySinceMs: null, lastSnapshotAtMs: each.clock.now() - hour });
    await each.clock.advance(100 * hour);
    expect(each.backups).toEqual([]);
    await each.scheduler.stop();
  });

  it('ends the wait for a turn at once, and no work is begun, when the signal of who waits aborts', async () => {
    const each = world({ durationMs: minute });
    const aborter = new AbortController();
    const running = each.scheduler.backUpNow('demand');
    const waiting = [
      each.scheduler.backUpNow('demand', { signal: aborter.signal }),
      each.scheduler.exclusively(() => Promise.reject(new Error('begun')), aborter.signal),
    ];
    await each.clock.advance(second);
    aborter.abort();
    for (const wait of waiting) await expect(wait).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(each.backups.map(({ outcome }) => outcome)).toEqual(['working']);
    await each.clock.advance(hour);
    await running;
    expect(each.backups).toHaveLength(1);
  });

  it('gives up what is asked for besides once it is stopped without time', async () => {
    const each = world();
    const work = each.scheduler.exclusively(
      (signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    );
    const aborter = new AbortController();
    const stopped = each.scheduler.stop({ signal: aborter.signal });
    aborter.abort();
    await expect(work).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await stopped;
  });

  it('goes on from a backup that somebody made by other means, and not from one that failed or only tried', async () => {
    const counts = { uploadFiles: 1, uploadBytes: 1, reuseFiles: 0, reuseBytes: 0, records: 1 };
    const dryRun: BackupResult = { type: 'planned', ...counts };
    const each = world();
    each.scheduler.start({ dirtySinceMs: each.clock.now(), lastSnapshotAtMs: each.clock.now() });
    const before = each.scheduler.next();
    await each.scheduler.backUpNow('demand', { by: async () => dryRun });
    const failing = { by: () => Promise.reject(new SyncAgentError('REFUSED', 'Cannot')) };
    await expect(each.scheduler.backUpNow('demand', failing)).rejects.toMatchObject({ code: 'REFUSED' });
    expect([each.scheduler.next(), each.scheduler.state().failures]).toEqual([before, 0]);
    const snapshotAtMs = each.clock.now();
    await each.scheduler.backUpNow('demand', { by: async () => savedAt(snapshotAtMs) });
    expect(each.scheduler.state()).toMatchObject({ dirtySinceMs: null, lastSnapshotAtMs: snapshotAtMs });
    expect(each.backups).toEqual([]);
    await each.scheduler.stop();
  });

  it('saves the first change after a quiet time once the store rests', async () => {
    const each = world();
    each.scheduler.start(clean);
    const start = each.clock.now();
    each.write();
    await each.clock.advance(second);
    each.write();
    await each.clock.advance(minute);
    expect(times(each, start)).toEqual([3 * second]);
    await each.scheduler.stop();
  });

  it('does not wait for a store that never rests', async () => {
    const each = world();
    each.scheduler.start(clean);
    const start = each.clock.now();
    for (let tick = 0; tick < 40; tick += 1) {
      each.write();
      await each.clock.advance(second / 2);
    }
    expect(times(each, start)).toEqual([10 * second]);
    await each.scheduler.stop();
  });

  it('saves what was written after a snapshot an interval after it', async () => {
    const each = world();
    each.scheduler.start(clean);
    const start = each.clock.now();
    each.write();
    await each.clock.advance(minute);
    each.write();
    await each.clock.advance(3 * hour);
    expect(times(each, start)).toEqual([2 * second, 2 * second + hour]);
    await each.scheduler.stop();
  });

  it('saves what is written while a backup runs with the next one', async () => {
    const each = world({ durationMs: minute });
    each.scheduler.start(clean);
    const start = each.clock.now();
    each.write();
    await each.clock.advance(30 * second);
    each.write();
    await each.clock.advance(3 * hour);
    expect(times(each, start)).toEqual([2 * second, 2 * second + hour]);
    expect(each.scheduler.state().dirtySinceMs).toBeNull();
    await each.scheduler.stop();
  });

  it('tries a failed backup again within seconds, then less and less often, and no less than every five minutes', async () => {
    const each = world({ fails: () => true });
    each.scheduler.start(clean);
    each.write();
    await each.clock.advance(hour);
    const gaps = each.backups.slice(1).map((one, nth) => one.startedAt - (each.backups[nth]?.startedAt ?? 0));
    expect(gaps[0]).toBeLessThanOrEqual(5 * second);
    expect(gaps.toSorted((a, b) => a - b)).toEqual(gaps);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5 * minute);
    expect(each.backups.at(-1)?.reason).toBe('retry');
    await each.scheduler.stop();
  });

  it('is back on its schedule after a failure that passed', async () => {
    const each = world({ fails: (nth) => nth < 3 });
    each.scheduler.start(clean);
    each.write();
    await each.clock.advance(10 * minute);
    expect(each.backups.map((one) => one.outcome)).toEqual(['failed', 'failed', 'failed', 'saved']);
    expect(each.scheduler.state()).toMatchObject({ failures: 0, retryAtMs: null, dirtySinceMs: null });
    await each.scheduler.stop();
  });

  it('makes the snapshot that a log goes on from at once, also of a store that was not written, with a pause between two', async () => {
    const each = world();
    each.scheduler.start(clean);
    await each.clock.advance(minute);
    const start = each.clock.now();
    each.scheduler.logDue(true);
    await each.clock.advance(2500);
    expect(times(each, start)).toEqual([0, second, 2 * second]);
    expect(each.backups.map(({ reason }) => reason)).toEqual(['log', 'log', 'log']);
    expect(each.events.find((event) => event.type === 'scheduled' && event.reason === 'log')).toMatchObject({
      atMs: start,
    });
    each.scheduler.logDue(false);
    await each.clock.advance(hour);
    expect(each.backups).toHaveLength(3);
    await each.scheduler.stop();
  });

  it('neither skips nor repeats an hour over a restart', async () => {
    const clock = virtualClock();
    const start = clock.now();
    const first = world({ clock });
    first.scheduler.start(clean);
    first.write();
    await clock.advance(20 * minute);
    first.write();
    await first.scheduler.stop();
    const restarted = world({ clock });
    restarted.scheduler.start({ dirtySinceMs: start + 20 * minute, lastSnapshotAtMs: start + 2 * second });
    await clock.advance(3 * hour);
    expect(times(restarted, start)).toEqual([2 * second + hour]);
    await restarted.scheduler.stop();
  });

  it('saves at once what was left unsaved longer than an interval ago', async () => {
    const each = world();
    const start = each.clock.now();
    each.scheduler.start({ dirtySinceMs: start - 2 * hour, lastSnapshotAtMs: start - 5 * hour });
    await each.clock.advance(0);
    expect(times(each, start)).toEqual([0]);
    await each.scheduler.stop();
  });

  it('is not held up by a snapshot of the future', async () => {
    const each = world();
    const start = each.clock.now();
    each.scheduler.start({ dirtySinceMs: start, lastSnapshotAtMs: start + 1000 * hour });
    await each.clock.advance(hour);
    expect(times(each, start)).toEqual([hour]);
    await each.scheduler.stop();
  });

  it('keeps its interval when the wall clock is set back by a day', async () => {
    const each = world();
    each.scheduler.start(clean);
    each.write();
    await each.clock.advance(minute);
    each.clock.jump(-24 * hour);
    each.write();
    await each.clock.advance(2 * hour);
    expect(each.backups.length).toBeGreaterThanOrEqual(2);
    await each.scheduler.stop();
  });

  it('saves at fixed times, if there is something to save, whatever the interval', async () => {
    const each = world({
      settings: { intervalMs: 0, nextFixedTime: (after) => (Math.floor(after / hour) + 1) * hour },
    });
    each.scheduler.start(clean);
    const start = each.clock.now();
    await each.clock.advance(90 * minute);
    each.write();
    await each.clock.advance(5 * hour);
    expect(each.backups).toMatchObject([
      { startedAt: (Math.floor(start / hour) + 2) * hour, reason: 'fixed-time' },
    ]);
    await each.scheduler.stop();
  });

  it('makes up for a fixed time that passed while it was not running', async () => {
    const each = world({
      settings: { intervalMs: 0, nextFixedTime: (after) => (Math.floor(after / hour) + 1) * hour },
    });
    const start = each.clock.now();
    each.scheduler.start({ dirtySinceMs: start - 90 * minute, lastSnapshotAtMs: start - 3 * hour });
    await each.clock.advance(minute);
    expect(times(each, start)).toEqual([0]);
    await each.scheduler.stop();
  });

  it('never runs two backups at once, and makes one at once when asked', async () => {
    const each = world({ durationMs: minute });
    each.scheduler.start(clean);
    const start = each.clock.now();
    each.write();
    await each.clock.advance(10 * second);
    const asked = each.scheduler.backUpNow('shutdown');
    await each.clock.advance(5 * minute);
    await asked;
    expect(times(each, start)).toEqual([2 * second, 2 * second + minute]);
    await each.scheduler.stop();
  });

  it('ends a running backup when it is stopped with a signal that aborts', async () => {
    const each = world({ durationMs: hour });
    each.scheduler.start(clean);
    each.write();
    await each.clock.advance(minute);
    const outOfTime = new AbortController();
    const stopped = each.scheduler.stop({ signal: outOfTime.signal });
    outOfTime.abort(new Error('too long'));
    await stopped;
    expect(each.scheduler.state()).toMatchObject({ working: null, failures: 1 });
  });

  it('tells a backup that fails when it is tried again, and that it is not once stopped', async () => {
    const told: (number | null)[] = [];
    const clock = virtualClock();
    const scheduler = createScheduler({
      settings: { intervalMs: hour, settleMs: 2 * second },
      clock,
      emit: () => undefined,
      backUp: (_, { retryAtMs }) => {
        told.push(retryAtMs());
        return Promise.reject(new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot reach it'));
      },
    });
    await expect(scheduler.backUpNow('demand')).rejects.toThrow('Cannot reach it');
    await scheduler.stop();
    await expect(scheduler.backUpNow('shutdown')).rejects.toThrow('Cannot reach it');
    expect(told).toEqual([expect.any(Number), null]);
  });

  it('announces when the next backup is, and that none is', async () => {
    const each = world();
    each.scheduler.start(clean);
    const start = each.clock.now();
    each.write();
    await each.clock.advance(minute);
    const scheduled = each.events.filter((event) => event.type === 'scheduled');
    expect(scheduled[0]).toEqual({ type: 'scheduled', atMs: start + 2 * second, reason: 'change' });
    expect(scheduled.at(-1)).toEqual({ type: 'scheduled', atMs: null, reason: null });
    await each.scheduler.stop();
  });

  it('keeps its promises whatever is written, fails and takes its time', async () => {
    await assert(
      asyncProperty(
        array(integer({ min: 0, max: 2 * hour }), { minLength: 1, maxLength: 30 }),
        integer({ min: 0, max: 10 * minute }),
        array(boolean(), { maxLength: 10 }),
        async (pauses, durationMs, failures) => {
          const each = world({ durationMs, fails: (nth) => failures[nth] ?? false });
          each.scheduler.start(clean);
          const writes: number[] = [];
          for (const pause of pauses) {
            await each.clock.advance(pause);
            writes.push(each.clock.now());
            each.write();
          }
          await each.clock.advance(10 * hour);
          const saved = each.backups.filter((one) => one.outcome === 'saved').map((one) => one.startedAt);
          // At most once per interval.
          for (const [nth, at] of saved.slice(1).entries())
            expect(at - (saved[nth] ?? 0)).toBeGreaterThanOrEqual(hour);
          // Every write is followed by a snapshot within an interval, but for what failures and a running backup cost.
          const costMs = (failures.length + 1) * (durationMs + 5 * minute);
          for (const write of writes) {
            const next = saved.find((at) => at >= write);
            expect(next, `after ${write}`).toBeDefined();
            expect((next ?? Infinity) - write).toBeLessThanOrEqual(hour + 10 * second + costMs);
          }
          // Never without a reason.
          for (const [nth, { startedAt }] of each.backups.entries()) {
            const since = each.backups[nth - 1]?.startedAt ?? 0;
            const isRetry = each.backups[nth - 1]?.outcome === 'failed';
            expect(isRetry || writes.some((write) => write >= since && write <= startedAt)).toBe(true);
          }
          await each.scheduler.stop();
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('fixed times', () => {
  it('follow a cron expression', () => {
    const next = fixedTimes('30 3 * * *')(new Date(2026, 10, 21, 4).getTime());
    expect(new Date(next ?? 0)).toEqual(new Date(2026, 10, 22, 3, 30));
  });
  it.each(['', 'now', '99 * * * *', '* * *'])('refuse %j', (expression) => {
    expect(() => fixedTimes(expression)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
  it('say when there is none', () => {
    expect(fixedTimes('0 0 30 2 *')(0)).toBeNull();
  });
});
