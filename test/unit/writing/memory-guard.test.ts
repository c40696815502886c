import { describe, expect, it } from 'vitest';
import { memoryGuard } from '../../../src/engine/writing/memory-guard.ts';
import type { AgentEvent } from '../../../src/platform/events.ts';
import type { MemoryUse } from '../../../src/platform/memory/memory-use.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

const host = (share: number): MemoryUse => ({
  of: 'the host',
  usedBytes: share * 2 ** 30,
  limitBytes: 2 ** 30,
});
const group = (share: number): MemoryUse => ({
  of: 'the cgroup "/a"',
  usedBytes: share * 100,
  limitBytes: 100,
});

function guarded(readings: readonly (readonly MemoryUse[])[], threshold = 0.8) {
  const events: AgentEvent[] = [];
  let at = 0;
  const clock = virtualClock();
  const guard = memoryGuard({
    read: async () => readings[Math.min(at++, readings.length - 1)] ?? [],
    threshold,
    clock,
    emit: (event) => events.push(event),
    patienceMs: 10_000,
  });
  return { guard, events, looks: () => at, pass: (signal?: AbortSignal) => clock.run(guard.pass(signal)) };
}

describe('while memory is short', () => {
  it('a batch waits, says so once, and goes on when there is memory', async () => {
    const { guard, events, pass } = guarded([[host(0.9)], [host(0.85)], [host(0.79)]]);
    await pass();
    expect(guard.pausedMs()).toBe(1000);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      message:
        'the host uses 90 % of its memory (922 of 1024 MiB), above 80 %: waiting up to 10 s for memory',
    });
  });

  it('a batch is refused if it stays short', async () => {
    const { guard, pass } = guarded([[host(0.2), group(0.81)]]);
    await expect(pass()).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('the cgroup "/a" uses 81 %') as string,
    });
    expect(guard.pausedMs()).toBe(10_000);
  });

  it('an abort ends the wait', async () => {
    const { pass } = guarded([[host(0.9)]]);
    await expect(pass(AbortSignal.abort())).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});

it('a batch that has memory waits for nothing', async () => {
  const { guard, events, looks } = guarded([[host(0.8), group(0.1)]]);
  await guard.pass(undefined);
  expect([events, looks(), guard.pausedMs()]).toEqual([[], 1, 0]);
});

it('says once that memory cannot be read', async () => {
  const { guard, events } = guarded([[]]);
  await guard.pass(undefined);
  await guard.pass(undefined);
  expect(events).toMatchObject([
    { type: 'warning', message: expect.stringContaining('cannot be read') as string },
  ]);
});

it.each([0, 1.1, NaN])('a threshold of %s is refused', (threshold) => {
  expect(() => guarded([], threshold)).toThrow('memory threshold');
});
