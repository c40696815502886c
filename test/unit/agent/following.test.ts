import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { follow } from '../../../src/agent/continuous/following.ts';
import type { Following } from '../../../src/agent/continuous/following.ts';
import type { Operations } from '../../../src/api/operations.ts';
import { locateHome } from '../../../src/home/home.ts';
import type { Home } from '../../../src/home/home.ts';
import { lockLog } from '../../../src/home/lock.ts';
import type { Lock } from '../../../src/home/lock.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';

let root: string;
let home: Home;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'sync-agent-following-'));
  home = await locateHome(join(root, 'store'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Called before each sleep, which takes no time, while the clock goes on as if it had. */
let onSleep: (ms: number) => Promise<unknown>;
let monotonic: number;
beforeEach(() => {
  monotonic = 0;
  onSleep = () => setImmediate();
});
const clock: Clock = {
  ...systemClock,
  monotonic: () => monotonic,
  sleep: async (ms) => {
    await onSleep(ms);
    monotonic += ms;
  },
};
const followWith = (followLog: Operations['followLog']): Following =>
  follow({
    home,
    intervalMs: 500,
    operationsFor: () => ({ followLog }) as Operations,
    clock,
    emit: () => undefined,
    onSnapshotDue: () => undefined,
    epoch: async () => 7,
    snapshotBytes: () => undefined,
  });
/** As a process that has ended its work only when it is told to stop. */
const untilStopped: Operations['followLog'] = ({ signal }) =>
  new Promise((resolve) =>
    signal?.addEventListener('abort', () => resolve({ type: 'followed', isSaved: true }), { once: true }),
  );
it('a log is followed under the lease of its host from the first moment', async () => {
  let begun = (_: unknown): void => undefined;
  const asked = new Promise<unknown>((resolve) => (begun = resolve));
  const following = followWith((options) => {
    begun(options);
    return untilStopped(options);
  });
  expect(await asked).toMatchObject({ intervalMs: 500, epoch: 7 });
  expect(await following.stop(Infinity)).toBe(true);
});

it('who follows the log is there when that process holds its lock', async () => {
  const following = followWith(untilStopped);
  let lock: Lock | undefined;
  let looks = 0;
  onSleep = async () => {
    looks += 1;
    if (looks === 3) lock = await lockLog(nodeFileSystem, home, { command: 'continuous' });
  };
  await following.there();
  expect(looks).toBe(3);
  await following.there();
  expect(looks).toBe(3);
  lock?.release();
  await following.stop(Infinity);
});

it('nobody waits for a process that has failed', async () => {
  const following = followWith(() => Promise.reject(new Error('it died')));
  let begin = (): void => undefined;
  const pausing = new Promise<void>((resolve) => (begin = resolve));
  // Until the next attempt.
  onSleep = (ms) => {
    if (ms === 1000) begin();
    return setImmediate();
  };
  await pausing;
  onSleep = () => new Promise(() => undefined);
  await following.there();
});

it('nobody waits long for a process that does not come', async () => {
  const following = followWith(untilStopped);
  await following.there();
  expect(monotonic).toBe(15_000);
  await following.stop(Infinity);
});

it('nobody waits for a process when the agent stops', async () => {
  const following = followWith(untilStopped);
  let stopped: Promise<boolean> | undefined;
  onSleep = async () => ((stopped ??= following.stop(Infinity)), undefined);
  await following.there();
  expect(monotonic).toBeLessThan(15_000);
  expect(await stopped).toBe(true);
});
