import { beforeEach, describe, expect, it } from 'vitest';
import { backupMaker } from '../../../src/agent/backup-maker.ts';
import type { BackupMaker } from '../../../src/agent/backup-maker.ts';
import type { DaemonOperations, OperationsFor } from '../../../src/agent/daemon-operations.ts';
import { performer } from '../../../src/agent/performer.ts';
import type { BackupResult } from '../../../src/engine/backup/backup.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

type Turn = Parameters<DaemonOperations['backupTurn']>[0];

const id = '2026-01-01T00-00-00.000Z-00000001';
const clock = virtualClock();
let stopping: AbortController;
let recorded: string[];
/** What the backup was asked for, and how it goes. */
let asked: Turn[];
let go: (turn: Turn, begin: () => void) => Promise<BackupResult>;
let maker: BackupMaker;

beforeEach(() => {
  stopping = new AbortController();
  recorded = [];
  asked = [];
  go = async () => ({ type: 'unchanged', id });
  const operationsFor: OperationsFor = ({ emit }) => {
    const backupTurn: DaemonOperations['backupTurn'] = async (turn) => {
      asked.push(turn);
      const result = await go(turn, () => emit({ type: 'phase', phase: 'capture' }));
      return { result, history: undefined };
    };
    return { backupTurn } as DaemonOperations;
  };
  maker = backupMaker({
    perform: performer(operationsFor, { clock, emit: () => undefined }),
    recorder: { recordSnapshot: (each) => recorded.push(each), recordHistory: () => undefined },
    clock,
    stopping: stopping.signal,
    intervalMs: 1000,
    epoch: () => 7,
  });
});

const turn = { signal: new AbortController().signal, retryAtMs: () => null };

describe('a backup of the daemon', () => {
  it.each([
    ['change', 1000],
    ['retry', 1000],
    ['shutdown', 0],
    ['fixed-time', 0],
  ] as const)(
    'for the reason "%s" leaves %i ms between two, and carries the lease',
    async (reason, minIntervalMs) => {
      expect(await maker.turn(reason, turn)).toMatchObject({ type: 'saved' });
      expect(asked).toMatchObject([{ local: { minIntervalMs }, epoch: 7 }]);
      expect(asked[0]).not.toHaveProperty('beforeHookMs');
      expect(recorded).toEqual([id]);
    },
  );

  it('that must be over soon leaves a hook before it half of the time', async () => {
    await maker.turn('shutdown', turn, { deadlineMs: clock.monotonic() + 5000 });
    await maker.turn('shutdown', turn, { deadlineMs: clock.monotonic() - 1 });
    expect(asked).toMatchObject([{ beforeHookMs: 2500 }, { beforeHookMs: 0 }]);
  });

  it.each([
    ['ends when the agent stops before its first phase', false],
    ['goes on when the agent stops after its first phase', true],
  ])('%s', async (_, hasBegun) => {
    let wasAborted: boolean | undefined;
    go = async ({ signal }, begin) => {
      if (hasBegun) begin();
      stopping.abort();
      wasAborted = signal?.aborted;
      return { type: 'unchanged', id };
    };
    await maker.make({}, { reason: 'demand' });
    expect(wasAborted).toBe(!hasBegun);
  });
});
