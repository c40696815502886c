import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Backlog } from '../../../src/engine/restore/download/backlog.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type { InspectOptions } from '../../../src/stores/adapter.ts';
import { adapterNamed } from '../../../src/stores/find-adapter.ts';
import { kinds, plainKind } from '../../../src/stores/find-kind.ts';
import type { StoreKind } from '../../../src/stores/store-kind.ts';
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

describe('the inspection of a store that is on its way', () => {
  /** Restores a store of a database and a further file. Both are downloaded by `get`, and looked at by `inspect`. */
  async function restore({
    inspect,
    get,
    onRemove,
  }: {
    readonly inspect: (options: InspectOptions) => Promise<unknown>;
    readonly get: (key: string) => Promise<unknown>;
    /** Called before something of the local disk is removed. */
    readonly onRemove?: () => void;
  }): Promise<unknown> {
    let isRestoring = false;
    const known = kinds as StoreKind[];
    known.unshift({
      ...plainKind,
      name: 'early',
      inspectsArriving: true,
      detect: async () => true,
      databasesAmong: (paths) => paths.filter((path) => path.endsWith('.db')),
      inspect: async (_, options) => {
        if (isRestoring) await inspect(options);
        return { damage: [], findings: [], statistics: { records: 0 } };
      },
    });
    const memory = createMemoryRemote({ now: Date.now });
    const remote: Remote = {
      ...memory,
      get: async (key, options) => {
        if (isRestoring) await get(key);
        return memory.get(key, options);
      },
    };
    const fs = {
      ...nodeFileSystem,
      remove: (path: string) => {
        onRemove?.();
        return nodeFileSystem.remove(path);
      },
    };
    // What the same agent has checked is not inspected again otherwise.
    const host = await makeHost({ remote, fs, settings: { validation: 'full' } });
    try {
      await host.write({ 'a.db': 'a database', b: 'a further file' });
      await host.agent.backup();
      await host.wipe();
      isRestoring = true;
      return await host.agent.restore();
    } finally {
      known.shift();
      await host.remove();
    }
  }

  it('begins with the databases, while other files are still missing', async () => {
    let begin = (): void => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const restored = restore({
      inspect: async ({ arrival }) => arrival?.databases.then(begin),
      get: async (key) => key.endsWith('/b') && begun,
    });
    expect(await restored).toMatchObject({ type: 'restored' });
  });

  it('is aborted, and waited for, where a file cannot be had', async () => {
    const steps: string[] = [];
    let remove = (): void => undefined;
    const removing = new Promise<void>((resolve) => (remove = resolve));
    const restored = restore({
      inspect: async ({ arrival, signal }) => {
        await arrival?.rest;
        steps.push(signal?.aborted === true ? 'aborted' : 'not aborted');
        await Promise.race([removing, delay(100)]);
        steps.push('ended');
      },
      get: async (key) => {
        if (key.endsWith('/b')) throw new SyncAgentError('DENIED', 'Cannot get: no');
      },
      onRemove: () => {
        if (steps.length === 0) return;
        steps.push('removed');
        remove();
      },
    });
    await expect(restored).rejects.toMatchObject({ code: 'DENIED' });
    expect(steps.slice(0, 3)).toEqual(['aborted', 'ended', 'removed']);
  });

  it('may have files beside a database meanwhile, which are no names that collide', async () => {
    const memory = createMemoryRemote({ now: Date.now });
    const a = await makeHost({ remote: memory });
    await a.write({ 'a.db': 'a database' });
    await a.agent.backup();
    const b = await makeHost({
      remote: memory,
      fs: {
        ...nodeFileSystem,
        setAttributes: async (path, attributes) => {
          if (path.endsWith('.db')) writeFileSync(`${path}-shm`, '');
          await nodeFileSystem.setAttributes(path, attributes);
        },
      },
    });
    try {
      expect(await b.agent.restore()).toMatchObject({ type: 'restored' });
    } finally {
      await a.remove();
      await b.remove();
    }
  });
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
