import { beforeEach, describe, expect, it } from 'vitest';
import { createBackups } from '../../../src/agent/backups.ts';
import type { Backups } from '../../../src/agent/backups.ts';
import { operationRunner } from '../../../src/agent/run-operation.ts';
import type { Operations, OperationsFor } from '../../../src/api/operations.ts';
import type { BackupResult } from '../../../src/engine/backup/backup.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

type Asked = Parameters<Operations['backUpAndList']>[0];

const id = '2026-01-01T00-00-00.000Z-00000001';
const clock = virtualClock();
let stopping: AbortController;
let recorded: string[];
/** What the backup was asked for, and how it goes. */
let asked: Asked[];
let go: (options: Asked, begin: () => void) => Promise<BackupResult>;
let logThere: Promise<void>;
let backups: Backups;

beforeEach(() => {
  stopping = new AbortController();
  recorded = [];
  asked = [];
  go = async () => ({ type: 'unchanged', id });
  logThere = Promise.resolve();
  const operationsFor: OperationsFor = ({ emit }) => {
    const backUpAndList: Operations['backUpAndList'] = async (options) => {
      asked.push(options);
      const result = await go(options, () => emit?.({ type: 'phase', phase: 'capture' }));
      return { result, history: [] };
    };
    return { backUpAndList } as Operations;
  };
  backups = createBackups({
    run: operationRunner({
      operationsFor,
      clock,
      emit: () => undefined,
      onSnapshot: (each) => recorded.push(each),
    }),
    onHistory: (history) => recorded.push(`history of ${history.length}`),
    clock,
    stopping: stopping.signal,
    intervalMs: 1000,
    epoch: () => 7,
    logThere: () => logThere,
    isLogDue: () => false,
  });
});

const turn = (signal = new AbortController().signal) => ({ signal, retryAtMs: () => null });

describe('a backup of the daemon', () => {
  it.each([
    ['change', 1000],
    ['retry', 1000],
    ['fixed-time', 0],
  ] as const)(
    'for the reason "%s" leaves %i ms between two, carries the lease, and records what it found',
    async (reason, minIntervalMs) => {
      expect(await backups.scheduled(reason, turn())).toEqual({ type: 'unchanged', id });
      expect(asked).toMatchObject([{ local: { minIntervalMs }, epoch: 7 }]);
      expect(asked[0]).not.toHaveProperty('beforeHookMs');
      expect(recorded).toEqual(['history of 0', id]);
    },
  );

  it('that is asked for is made as it was asked for', async () => {
    await backups.demanded({ force: true, epoch: 3 })('demand', turn());
    expect(asked).toMatchObject([{ force: true, epoch: 3 }]);
    expect(asked[0]).not.toHaveProperty('local');
  });

  it('that must be over soon leaves a hook before it half of the time', async () => {
    await backups.final(clock.monotonic() + 5000)('shutdown', turn());
    await backups.final(clock.monotonic() - 1)('shutdown', turn());
    await backups.final(Infinity)('shutdown', turn());
    const local = { minIntervalMs: 0 };
    expect(asked).toMatchObject([{ beforeHookMs: 2500, local }, { beforeHookMs: 0, local }, { local }]);
    expect(asked[2]).not.toHaveProperty('beforeHookMs');
  });

  it('ends when the agent stops before its first phase, and is told how soon', async () => {
    go = async ({ signal }) => {
      expect(signal?.aborted).toBe(false);
      stopping.abort();
      expect(signal?.reason).toMatchObject({ code: 'INTERRUPTED', untilMs: clock.monotonic() + 1000 });
      return { type: 'unchanged', id };
    };
    await backups.demanded({})('demand', turn());
    expect(asked).toHaveLength(1);
  });

  it('goes on when the agent stops after its first phase, and still heeds who asked for it', async () => {
    const asker = new AbortController();
    go = async ({ signal }, begin) => {
      begin();
      stopping.abort();
      expect(signal?.aborted).toBe(false);
      asker.abort('enough');
      expect(signal?.reason).toBe('enough');
      return { type: 'unchanged', id };
    };
    await backups.demanded({})('demand', turn(asker.signal));
    expect(asked).toHaveLength(1);
  });

  it('that begins after the stop, as the final one does, does not end by it', async () => {
    stopping.abort();
    await backups.final(Infinity)('shutdown', turn());
    expect(asked[0]?.signal?.aborted).toBe(false);
  });

  it('hears nothing of a stop that comes after its end', async () => {
    await backups.scheduled('change', turn());
    stopping.abort();
    expect(asked[0]?.signal?.aborted).toBe(false);
  });

  it('begins when the log of the writes can be handed over, and not while nobody is there', async () => {
    let come = (): void => undefined;
    logThere = new Promise((resolve) => (come = resolve));
    const made = backups.scheduled('change', turn());
    await clock.advance(0);
    expect(asked).toEqual([]);
    come();
    expect(await made).toEqual({ type: 'unchanged', id });
    expect(asked).toHaveLength(1);
  });

  it('waits for the log no longer than the agent goes on', async () => {
    logThere = new Promise(() => undefined);
    const made = backups.scheduled('change', turn());
    stopping.abort();
    await made;
    expect(asked[0]?.signal?.aborted).toBe(true);
  });
});
