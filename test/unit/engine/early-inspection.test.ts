import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Backlog } from '../../../src/engine/restore/download/backlog.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { adapterNamed } from '../../../src/stores/find-adapter.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { fastTmp, makeHost } from '../../support/host.ts';

it('the inspection of a Chroma store waits for the database, and then for the indexes', async () => {
  const dir = mkdtempSync(join(fastTmp, 'inspection-'));
  try {
    const store = join(dir, 'store');
    unpackFixture('chroma-1-a', join(dir, 'whole'));
    let open = (): void => undefined;
    let arrive = (): void => undefined;
    const arrival = {
      databases: new Promise<void>((resolve) => (open = resolve)),
      rest: new Promise<void>((resolve) => (arrive = resolve)),
    };
    const inspection = adapterNamed('chroma').inspect(store, { level: 'proven', arrival });
    expect(await Promise.race([inspection, delay(700, 'waiting')])).toBe('waiting');
    cpSync(join(dir, 'whole/chroma.sqlite3'), join(store, 'chroma.sqlite3'));
    open();
    expect(await Promise.race([inspection, delay(700, 'waiting')])).toBe('waiting');
    rmSync(store, { recursive: true });
    renameSync(join(dir, 'whole'), store);
    arrive();
    expect((await inspection).damage).toEqual([]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

it('a restore flushes what is there while an index is still on its way', async () => {
  const memory = createMemoryRemote({ now: Date.now });
  const a = await makeHost({ remote: memory });
  unpackFixture('chroma-1-a', a.store);
  await a.agent.backup();
  const done: string[] = [];
  let waited = false;
  const remote: Remote = {
    ...memory,
    location: memory.location,
    get: async (key, options) => {
      const result = await memory.get(key, options);
      if (!key.endsWith('/header.bin') || waited) return result;
      waited = true;
      await delay(1000);
      done.push('index');
      return result;
    },
  };
  const fs = {
    ...nodeFileSystem,
    sync: (path: string) => {
      if (path.endsWith('/chroma.sqlite3')) done.push('flush');
      return nodeFileSystem.sync(path);
    },
  };
  const b = await makeHost({ remote, fs });
  try {
    expect(await b.agent.restore()).toMatchObject({ type: 'restored' });
    expect(done).toEqual(['flush', 'index']);
  } finally {
    await a.remove();
    await b.remove();
  }
});

it('a backlog gives its reader what comes, and leaves the rest when it has ended', async () => {
  const backlog = new Backlog<number>();
  const read: number[] = [];
  const reading = (async () => {
    for await (const item of backlog) {
      read.push(item);
      if (item === 2) backlog.end();
    }
  })();
  backlog.add(1);
  await delay(1);
  backlog.add(2);
  backlog.add(3);
  await reading;
  expect(read).toEqual([1, 2]);
  expect([...backlog.rest()]).toEqual([3]);
  expect([...backlog.rest()]).toEqual([]);
});
