import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keepChecking } from '../../../src/agent/soundness/checker.ts';
import type { CheckerOptions } from '../../../src/agent/soundness/checker.ts';
import { operationRunner } from '../../../src/agent/run-operation.ts';
import type { Operations } from '../../../src/api/operations.ts';
import { locateHome } from '../../../src/home/home.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type { AgentEvent, DaemonEvent } from '../../../src/platform/events.ts';
import { fastTmp } from '../../support/host.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

const minute = 60_000;
let root = '';
beforeEach(() => {
  root = mkdtempSync(join(fastTmp, 'checker-'));
  write(1);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Times long before the virtual clock's: nobody writes just now. */
function write(day: number): void {
  const path = join(root, 'a');
  writeFileSync(path, `content of day ${day}`);
  utimesSync(path, day * 86_400, day * 86_400);
}

type Checked = Extract<DaemonEvent, { type: 'checked' }>;

interface World {
  readonly calls: string[];
  readonly checked: Checked[];
  /** Lets checks come until there are so many events. */
  until(count: number): Promise<void>;
  readonly failed: () => number;
  readonly stop: () => Promise<void>;
  readonly timesMs: number[];
}

async function world({
  damage = [],
  tookMs = 0,
  server,
  fails = () => false,
}: {
  damage?: readonly string[];
  tookMs?: number;
  server?: string;
  fails?: (nth: number) => boolean;
} = {}): Promise<World> {
  const clock = virtualClock();
  const stopping = new AbortController();
  const calls: string[] = [];
  const events: (DaemonEvent | AgentEvent)[] = [];
  const timesMs: number[] = [];
  const answer = { url: '', isReachable: true, version: '1', heartbeatMs: 3, problems: [] };
  const collections = [
    { tenant: 't', database: 'd', name: 'c', records: 1, countMs: 5, getMs: 40, queryMs: null },
  ];
  const operations = {
    check: async () => {
      const nth = calls.push('check') - 1;
      timesMs.push(clock.now());
      if (tookMs > 0) await clock.sleep(tookMs);
      if (fails(nth)) throw new SyncAgentError('BUSY', 'Cannot read it');
      const problems = damage.map((message) => ({ message }));
      return {
        tookMs,
        damage: problems,
        findings: [{}],
        server: server === undefined ? null : { ...answer, collections },
      };
    },
    checkServer: async () => {
      calls.push('checkServer');
      return { ...answer, problems: [{ where: 'server', message: 'it hangs' }], collections };
    },
  } as unknown as Operations;
  const emit = (event: DaemonEvent | AgentEvent): void => void events.push(event);
  const options: CheckerOptions = {
    intervalMs: 5 * minute,
    server,
    home: await locateHome(root),
    clock,
    run: operationRunner({ operationsFor: () => operations, clock, emit, onSnapshot: () => undefined }),
    exclusively: (work, signal) => work(signal ?? stopping.signal),
    emit,
  };
  const checked: Checked[] = [];
  const done = keepChecking(options, stopping.signal);
  return {
    calls,
    checked,
    timesMs,
    failed: () => events.filter(({ type }) => type === 'operation-failed').length,
    until: async (count) => {
      const found = (): Checked[] => events.filter((event) => event.type === 'checked');
      for (let rounds = 0; found().length < count && rounds < 1000; rounds += 1) {
        await clock.advance(minute);
        // Looking at files takes real time.
        await new Promise((resolve) => setImmediate(resolve));
      }
      checked.splice(0, checked.length, ...found());
      expect(checked).toHaveLength(count);
    },
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
}

describe('checks while an agent runs', () => {
  it('read a store that nobody wrote only once, and say each time that it is sound', async () => {
    const { until, calls, checked, stop } = await world();
    await until(3);
    await stop();
    expect(calls).toEqual(['check']);
    expect(checked.map(({ isSound, isUnchanged, findings }) => [isSound, isUnchanged, findings])).toEqual([
      [true, false, 1],
      [true, true, 1],
      [true, true, 1],
    ]);
  });

  it('read it again after a write', async () => {
    const { until, calls, stop } = await world();
    await until(1);
    write(2);
    await until(2);
    await stop();
    expect(calls).toEqual(['check', 'check']);
  });

  it('read it again if it was written at the moment of the check, where another write would not show', async () => {
    const first = await world();
    await first.until(1);
    await first.stop();
    // Every virtual clock begins alike.
    write((first.timesMs[0] ?? 0) / 86_400_000);
    const { calls, until, stop } = await world();
    await until(2);
    await stop();
    expect(calls).toEqual(['check', 'check']);
  });

  it('remember damage as long as nobody writes', async () => {
    const { until, calls, checked, stop } = await world({ damage: ['a table is broken'] });
    await until(2);
    await stop();
    expect(calls).toEqual(['check']);
    expect(checked[1]).toMatchObject({ isSound: false, damage: ['a table is broken'], isUnchanged: true });
  });

  it('ask a server each time', async () => {
    const { until, calls, checked, stop } = await world({ server: 'http://127.0.0.1:1' });
    await until(2);
    await stop();
    expect(calls).toEqual(['check', 'checkServer']);
    expect(checked.map(({ server }) => server)).toEqual([
      { isReachable: true, heartbeatMs: 3, slowestMs: 40, problems: [] },
      { isReachable: true, heartbeatMs: 3, slowestMs: 40, problems: ['it hangs'] },
    ]);
  });

  it('take at most a thirtieth of the time', async () => {
    const { until, timesMs, stop } = await world({ tookMs: minute });
    for (let count = 1; count <= 3; count += 1) {
      await until(count);
      write(count + 1);
    }
    await stop();
    const [first = 0, second = 0, third = 0] = timesMs;
    for (const pause of [second - first, third - second]) expect(pause).toBeGreaterThanOrEqual(31 * minute);
  });

  it('go on after a check that failed', async () => {
    const { until, calls, failed, stop } = await world({ fails: (nth) => nth === 0 });
    await until(1);
    await stop();
    expect(calls).toEqual(['check', 'check']);
    expect(failed()).toBe(1);
  });
});
