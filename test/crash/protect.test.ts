import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createProtector } from '../../src/library/protecting/create-protector.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import { forEachEffect } from '../support/each-effect.ts';
import { makeHost, shiftableClock } from '../support/host.ts';
import type { Host } from '../support/host.ts';
import { Power, poweredFileSystem, poweredRemote } from '../support/power.ts';
import type { CutMode } from '../support/power.ts';

const before = { 'a.txt': 'as it was', 'sub/b.txt': 'the same', gone: 'only before' };
const half = { 'a.txt': 'half done!', 'sub/b.txt': 'the same' };

/** Nobody else uses this machine, and it has room. */
const ports = {
  diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }),
  findStoreUsers: async () => [],
};

/** Cuts the power in the middle of an operation that fails and is undone. False if it ended before that. */
async function cut(number: number, mode: CutMode): Promise<boolean> {
  const clock = shiftableClock();
  const remote = createMemoryRemote({ now: () => clock.now() });
  const first = await makeHost({ remote, clock, ports });
  const { root } = first;
  try {
    await first.write({ ...before, 'a.txt': 'older' });
    await first.agent.backup();
    await first.write(before);
    const power = new Power(number, mode);
    const fs = poweredFileSystem(power);
    const host = await makeHost({ root, remote: poweredRemote(power, remote), clock, fs, ports });
    const error = await fail(host, { fs, clock }).catch((each: unknown) => each);
    if (!power.isCut) {
      expect(error).toEqual(new Error('mine'));
      expect(await host.read()).toEqual(before);
      return false;
    }
    if (mode === 'half' && !power.isDivisible) return true;
    // The machine starts again.
    const again = await makeHost({ root, remote, clock, ports });
    const { type } = await again.agent.restore();
    expect(['ahead', 'equal', 'restored']).toContain(type);
    const now = await again.read();
    const isBegun = power.effects.some((each) => each.startsWith('write') && each.includes('operations'));
    expect([before, half], `${type} after ${power.effects.join('\n')}`).toContainEqual(now);
    const records = (await again.agent.operationLog()).filter(({ operation }) => operation === 'protect');
    expect(records.length).toBeLessThanOrEqual(isBegun ? 1 : 0);
    if (JSON.stringify(now) === JSON.stringify(half)) expect(records).toMatchObject([{ endedAt: null }]);
    await again.write({ later: 'x' });
    expect((await again.agent.backup()).type).toBe('committed');
    expect(await again.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    return true;
  } finally {
    await first.remove();
  }
}

function fail(
  host: Host,
  {
    fs,
    clock,
  }: { readonly fs: ReturnType<typeof poweredFileSystem>; readonly clock: ReturnType<typeof shiftableClock> },
): Promise<never> {
  const protect = createProtector(
    { store: host.store, remote: 'file:///unused' },
    { calls: host.agent, clock, emit: () => undefined, intervalMs: 0, fs },
  );
  return protect(
    'recreate',
    async () => {
      await rm(join(host.store, 'gone'));
      await host.write(half);
      throw new Error('mine');
    },
    { onFailure: 'restore' },
  );
}

describe('a protected operation that fails and is undone', () => {
  it.each(['before', 'half'] as const)(
    'leaves the store as it was, or as the work left it and the operation open, if the power is cut %s each step',
    async (mode) => {
      const last = await forEachEffect((number) => cut(number, mode));
      expect(last).toBeGreaterThan(60);
    },
    120_000,
  );
});
