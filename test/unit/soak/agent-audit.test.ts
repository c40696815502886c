import { describe, expect, it } from 'vitest';
import { auditLag } from '../../../scripts/soak-agent/audit-lag.ts';
import { auditSchedule } from '../../../scripts/soak-agent/audit-schedule.ts';
import { auditStatus } from '../../../scripts/soak-agent/audit-status.ts';
import type { Poll } from '../../../scripts/soak-agent/audit-status.ts';
import { Timeline } from '../../../scripts/soak-agent/timeline.ts';
import { troubledMs, turnsOf } from '../../../scripts/soak-agent/turns.ts';
import { judgeMemory } from '../../../scripts/soak-agent/judge-memory.ts';
import { makeSnapshotId } from '../../../src/log/layout.ts';
import type { LogLine } from '../../support/running-agent.ts';
import { savedStatus } from '../../support/sample-status.ts';

const zero = Date.UTC(2026, 10, 21, 12);
const intervalMs = 6000;
const pid = 7;
const idAt = (ms: number): string => makeSnapshotId(zero + ms, '00000000');
const line = (ms: number, type: string, fields: object = {}): LogLine => ({
  time: new Date(zero + ms).toISOString(),
  level: 'info',
  msg: type,
  type,
  ...fields,
});
const backup = (fields: object = {}): object => ({ operation: 'backup', ...fields });
const scheduled = (ms: number, atMs: number): LogLine => line(ms, 'scheduled', { atMs: zero + atMs });
const started = (ms: number, reason = 'change'): LogLine => line(ms, 'operation-started', backup({ reason }));
const failed = (ms: number, retryAtMs: number): LogLine =>
  line(ms, 'operation-failed', backup({ error: { code: 'UNREACHABLE' }, retryAtMs: zero + retryAtMs }));
const committed = (ms: number, id: string): readonly LogLine[] => [
  line(ms, 'committed', { id }),
  line(ms + 100, 'operation-finished', backup({ outcome: 'committed', snapshot: { id } })),
];
const calm = [
  scheduled(0, 1000),
  started(1000),
  ...committed(2000, idAt(1200)),
  scheduled(2200, 7200),
  started(7250),
  ...committed(8000, idAt(7400)),
];
const judge = (lines: readonly LogLine[], others: readonly string[] = []): readonly string[] =>
  auditSchedule({ intervalMs, turns: turnsOf({ pid, lines }), others, troubles: [] });

describe('the audit of a schedule', () => {
  it('finds nothing in a log that keeps the promises', () => {
    expect(judge(calm)).toEqual([]);
  });

  it.each([
    [
      'two snapshots within an interval',
      [...calm.slice(0, 4), scheduled(2200, 5000), started(5000), ...committed(6000, idAt(5100))],
      [],
      /3900 ms after/,
    ],
    ['a snapshot by hand within the interval before', calm, [idAt(4000)], /3400 ms after .*another/],
    ['a backup that nobody announced', calm.slice(1), [], /not announced/],
    ['one that is late', [scheduled(0, 1000), started(6000)], [], /5000 ms after its announced time/],
    ['a retry too soon', [scheduled(0, 0), started(0), failed(1000, 2000)], [], /after 1000 ms/],
    ['a retry too late', [scheduled(0, 0), started(0), failed(1000, 9000)], [], /after 8000 ms/],
    [
      'a retry that does not come',
      [scheduled(0, 0), started(0), failed(1000, 5500), scheduled(1000, 5500), started(15_000, 'retry')],
      [],
      /9500 ms late/,
    ],
  ])('finds %s', (_, lines, others, message) => {
    expect(judge(lines, others).join('\n')).toMatch(message);
  });
});

describe('the audit of what is saved', () => {
  const facts = { intervalMs, endedMs: zero + 60_000, turns: [], troubles: [] };

  it('finds a write that waited too long, and one that was never saved', () => {
    const snapshots = [idAt(1200), idAt(15_000)];
    const audit = (...writes: number[]) =>
      auditLag({ ...facts, snapshots, writes: writes.map((ms) => zero + ms) });
    expect(audit(1000, 14_000)).toEqual({ findings: [], calmMs: [200, 1000] });
    expect(audit(1300).findings[0]).toContain('in a snapshot after 13700 ms');
    expect(audit(16_000).findings[0]).toContain('in no snapshot');
    // What came with the end is no fault.
    expect(audit(59_000).findings).toEqual([]);
  });

  it('excuses what was in the way once, however often it is named', () => {
    const trouble = { fromMs: zero + 2000, toMs: zero + 8000, what: 'outage' };
    expect(troubledMs([trouble, trouble], zero, zero + 5000)).toBe(3000);
    const writes = [zero + 1300];
    const snapshots = [idAt(15_000)];
    expect(auditLag({ ...facts, snapshots, writes, troubles: [trouble] }).findings).toEqual([]);
  });
});

describe('the audit of the status', () => {
  const timeline = new Timeline();
  // Something is written between 4000 and 4150, and not before.
  for (let ms = 0, checkpoint = 1; ms < 20_000; ms += 150, checkpoint += ms === 4050 ? 9 : 1)
    timeline.add({ askedMs: zero + ms, answeredMs: zero + ms + 1, checkpoint });
  const truth = { running: null, lastError: null, failures: 0, dirtySinceMs: null, nextBackupAtMs: null };
  const poll = (ms: number, fields: Partial<Poll['status']> = {}): Poll => {
    const { history: _, recentEvents: __, ...base } = savedStatus;
    const status: Poll['status'] = { ...base, ...truth, state: 'idle', ...fields };
    return { askedMs: zero + ms, answeredMs: zero + ms + 5, status };
  };
  const held = (lines: readonly LogLine[], ...polls: Poll[]): string =>
    auditStatus({ log: { pid, lines }, polls, timeline, troubles: [] }).join('\n');
  const one = calm.slice(0, 4);

  it('does not judge an answer of the moment in which the log goes on', () => {
    const early = poll(7300, { dirtySinceMs: zero + 7250 });
    expect(held([...one, started(6400), ...committed(7215, idAt(6500))], early)).toBe('');
    expect(held([...one, started(6400), ...committed(7900, idAt(6500))], early)).toMatch(/dirtySinceMs is/);
  });

  it('finds nothing in answers that are true', () => {
    expect(
      held(one, poll(3000), poll(6000), poll(9000, { state: 'waiting', dirtySinceMs: zero + 4200 })),
    ).toBe('');
  });

  it.each([
    ['a claim that all is saved', one, poll(9000), /all is saved, but something was written/],
    ['unsaved since too late', one, poll(9000, { dirtySinceMs: zero + 8000 }), /dirtySinceMs is/],
    [
      'an error that is not told',
      [...one, started(7200), failed(8000, 12_000)],
      poll(8500),
      /lastError is null.*failures is 0/s,
    ],
    ['an error that stays', one, poll(3000, { lastError: error }), /lastError is [A-Z]/],
    [
      'work that is not told',
      [...one, started(7200)],
      poll(7500, { dirtySinceMs: zero + 4100 }),
      /the log says backup/,
    ],
    [
      'a next backup that does not begin',
      one,
      poll(9000, { state: 'waiting', dirtySinceMs: zero + 4200, nextBackupAtMs: zero + 6000 }),
      /was to begin/,
    ],
  ] as const)('finds %s', (_, lines, answer, message) => {
    expect(held(lines, answer)).toMatch(message);
  });
});

const error = { code: 'DENIED', message: 'no', remedy: null, atMs: zero, operation: 'backup' } as const;

describe('the audit of memory', () => {
  /** As Node's is: it rises by 20 MiB within 250 s, and falls. */
  const watched = (minutes: number, { mibPerHour = 0, base = 80 } = {}) =>
    judgeMemory(
      Array.from({ length: minutes * 40 }, (_, index) => {
        const ms = index * 1500;
        const value = base + ((ms % 250_000) / 250_000) * 20 + (mibPerHour * ms) / 3_600_000;
        return { atMs: zero + ms, rssBytes: value * 1024 ** 2, descriptors: 25 };
      }),
    ).findings.join();

  it('tells growth from the rise between two collections of garbage', () => {
    expect(watched(5)).toBe('');
    expect(watched(27)).toBe('');
    expect(watched(27, { mibPerHour: 40 })).toMatch(/grows by (3|4)\d/);
  });

  it('has a ceiling', () => {
    expect(watched(5, { base: 150 })).toMatch(/came to 1\d\d/);
  });
});
