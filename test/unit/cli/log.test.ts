import { describe, expect, it } from 'vitest';
import { timeOf } from '../../../src/cli/commands/work/log.ts';
import { operationLines } from '../../../src/cli/text/operation-lines.ts';
import type { OperationRecord } from '../../../src/home/operations/records.ts';
import { plainStyle } from '../../../src/report/style.ts';

const done: OperationRecord = {
  id: '01',
  operation: 'prune',
  state: 'done',
  beganAt: '2026-11-21T08:00:00.000Z',
  endedAt: '2026-11-21T08:00:01.500Z',
  tookMs: 1500,
  host: 'here',
  user: 'app',
  pid: 7,
  program: 'sync-agent prune',
  before: 'a',
  after: 'b',
  outcome: 'done',
  dropped: ['c', 'd'],
};

describe('the lines of sync-agent log', () => {
  it('say what became of each operation, and what to know about it', () => {
    const failed: OperationRecord = {
      ...done,
      operation: 'protect',
      name: 'rec\u001Breate',
      state: 'failed',
      after: null,
      error: { code: 'STORE_CORRUPT', message: 'Cannot go on' },
      dropped: undefined,
    };
    const open: OperationRecord = { ...failed, state: 'open', outcome: null, tookMs: null, error: undefined };
    expect(operationLines([done, failed, open], plainStyle)).toEqual([
      'BEGUN                 OPERATION          OUTCOME        TOOK  STORE BEFORE  AND AFTER  BY',
      '2026-11-21 08:00:00Z  prune              done           1.5s  a             b          sync-agent prune (pid 7), app@here',
      '  dropped 2: c, d',
      '2026-11-21 08:00:00Z  protect rec\uFFFDreate  STORE_CORRUPT  1.5s  a             -          sync-agent prune (pid 7), app@here',
      '  Cannot go on',
      '2026-11-21 08:00:00Z  protect rec\uFFFDreate  open                 a             -          sync-agent prune (pid 7), app@here',
      '  did not finish: it was killed, or runs where this process cannot see it',
    ]);
    expect(operationLines([], plainStyle)).toEqual(['No operation is in the log']);
  });
});

describe('--since', () => {
  it('is a duration before now, or a time', () => {
    const now = Date.parse('2026-11-21T08:00:00Z');
    expect(timeOf('2h', now)).toBe(now - 7_200_000);
    expect(timeOf('2026-11-20', now)).toBe(Date.parse('2026-11-20'));
    expect(timeOf('2026-11-21T08:00Z', now)).toBe(now);
    expect(timeOf(undefined, now)).toBeUndefined();
  });

  it.each(['yesterday', '2', '2026-13-01', ''])('refuses %j', (text) => {
    expect(() => timeOf(text, 0)).toThrow(/Cannot use --since/);
  });
});
