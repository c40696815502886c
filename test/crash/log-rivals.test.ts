import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { fastTmp } from '../support/host.ts';
import { makeLogMachine } from '../support/log-machine.ts';
import { QueueStore, rowsOf } from '../support/queue-store.ts';
import { seeded } from '../support/race.ts';

const schedules = Number(process.env['SYNC_AGENT_TEST_LOG_SCHEDULES'] ?? 1);
const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1e6);

it.each(Array.from({ length: schedules }, (_, index) => seed + index))(
  'two hosts that follow one store from one position: what either was told to be saved is in a live snapshot or its log, and it is told (seed %i)',
  async (each) => {
    const random = seeded(each);
    const remote = createMemoryRemote({ now: Date.now });
    const fate = { random, faults: 0, dieAt: Infinity };
    const first = await makeLogMachine(remote, fate);
    unpackFixture('chroma-1-b', first.host.store);
    first.start();
    while (!first.isDue()) await sleep(5);
    await first.backup();
    const second = await makeLogMachine(remote, fate);
    await second.host.agent.restore();
    second.start();
    const hosts = [first, second].map((machine, index) => ({
      machine,
      name: `host ${index}`,
      store: new QueueStore({ dir: machine.host.store }),
    }));
    const written: string[] = [];
    const saved = new Set<string>();
    try {
      for (let step = 0; step < 24; step += 1) {
        fate.faults = 0.1;
        const { machine, store, name } = hosts[random() < 0.5 ? 0 : 1] ?? { ...hosts[0] };
        if (machine === undefined || store === undefined) throw new Error('no host');
        const id = `${name} ${step}`;
        store.write(store.collections()[0] ?? '', id);
        written.push(id);
        if (machine.isDue()) await machine.backup();
        if (random() < 0.4 && (await machine.flush()))
          for (const known of written.filter((one) => one.startsWith(`${name} `))) saved.add(known);
      }
      await Promise.all(hosts.map(({ machine }) => machine.stop()));
      fate.faults = 0;
      const found = new Set<string>();
      const listed = await first.host.agent.list();
      for (const { id } of listed) {
        const dir = await mkdtemp(join(fastTmp, 'sync-agent-rivals-'));
        await first.host.agent.restoreTo(join(dir, 'to'), { snapshot: id, atMs: Date.now() + 60_000 });
        for (const row of rowsOf(join(dir, 'to'), 240)) found.add((JSON.parse(row) as { id: string }).id);
        await rm(dir, { recursive: true });
      }
      expect([...saved].filter((id) => !found.has(id))).toEqual([]);
      expect(saved.size).toBeGreaterThan(0);
      const isSplit = [0, 1].every((index) => [...saved].some((id) => id.startsWith(`host ${index}`)));
      const isTold =
        listed.filter(({ isTip }) => isTip).length > 1 || listed.some(({ pin }) => pin !== undefined);
      expect(isTold || !isSplit).toBe(true);
    } finally {
      await Promise.all(hosts.map(({ machine }) => machine.stop().then(() => machine.host.remove())));
    }
  },
);
