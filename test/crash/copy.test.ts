import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AgentPorts } from '../../src/in-process/create-agent.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { cutEverywhere, untilCut } from '../support/cut-everywhere.ts';
import { fastTmp, makeHost } from '../support/host.ts';
import type { Host } from '../support/host.ts';
import { poweredFileSystem, poweredRemote } from '../support/power.ts';
import { passThrough } from '../support/race.ts';

const quiet: Partial<AgentPorts> = {
  diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }),
  findStoreUsers: async () => [],
};
const settings = { keepLast: 3, graceMs: 0, concurrency: 1 };

interface Prepared {
  readonly host: Host;
  readonly source: Remote;
  readonly target: Remote;
  /** Snapshots of the source, oldest first. */
  readonly ids: readonly string[];
}

/** Four snapshots, of which the third is copied. So one is older, one is newer, and one is not kept. */
async function prepared(): Promise<Prepared> {
  const source = { ...passThrough(createMemoryRemote({ now: Date.now })), location: 'memory:source' };
  const target = { ...passThrough(createMemoryRemote({ now: Date.now })), location: 'memory:target' };
  const root = await mkdtemp(join(fastTmp, 'sync-agent-copies-'));
  const host = await makeHost({ remote: source, root, ports: { ...quiet, copyTarget: target } });
  const ids: string[] = [];
  for (const text of ['1', '2', '3', '4']) {
    await host.write({ 'a.txt': text, 'sub/b.txt': 'same' });
    const result = await host.agent.backup();
    ids.push(result.type === 'committed' ? result.id : 'none');
    if (text === '3') await host.agent.copyTo('memory:');
  }
  return { host, source, target, ids };
}

/** Each snapshot of the target is whole, and the newest is no older one than before. */
async function expectValid({ target, ids }: Prepared, newest: readonly string[]): Promise<void> {
  const there = await makeHost({ remote: target, ports: quiet });
  try {
    expect(await there.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    const restored = await there.agent.restore();
    expect(restored.type === 'restored' && newest.includes(restored.id)).toBe(true);
    const index = ids.findIndex((id) => restored.type === 'restored' && id === restored.id);
    expect(await there.read()).toEqual({ 'a.txt': String(index + 1), 'sub/b.txt': 'same' });
  } finally {
    await there.remove();
  }
}

describe('a copy that is killed', () => {
  it('leaves a target in which every snapshot is whole, at any effect, and is finished by the next one', async () => {
    const effects = await cutEverywhere(async (power) => {
      const made = await prepared();
      const { host, source, target, ids } = made;
      try {
        const copyTarget = { ...poweredRemote(power, target), location: target.location };
        const suffering = await makeHost({
          remote: source,
          root: host.root,
          fs: poweredFileSystem(power),
          settings,
          ports: { ...quiet, copyTarget },
        });
        await untilCut(power, suffering.agent.copyTo('memory:', { all: true }));
        await expectValid(made, ids.slice(2));
        // The next one finishes it.
        const well = await makeHost({
          remote: source,
          root: host.root,
          settings,
          ports: { ...quiet, copyTarget: target },
        });
        await well.agent.copyTo('memory:', { all: true });
        await expectValid(made, ids.slice(-1));
      } finally {
        await host.remove();
      }
    });
    expect(effects).toBeGreaterThan(25);
  });
});
