import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { textBody } from '../../../src/remotes/body.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { fastTmp, makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { exceptions, limits, noise } from './limits.ts';
import type { Operation, StoreKind } from './limits.ts';
import { createCostMeter } from './measure-cost.ts';
import type { Cost } from './measure-cost.ts';

/** Each writes the store, and then what its application changes. */
const stores: Readonly<
  Record<
    StoreKind,
    { fill(store: string): void | Promise<void>; change(store: string): void | Promise<void> }
  >
> = {
  plain: {
    fill: (store) => writeFiles(store, { count: 200, word: 'first' }),
    change: (store) => writeFiles(store, { count: 10, word: 'second' }),
  },
  directory: {
    fill: (store) => writeFiles(store, { count: 200, word: 'first' }),
    change: (store) => writeFiles(store, { count: 10, word: 'second' }),
  },
  chroma: {
    fill: (store) => void unpackFixture('chroma-1-a', store),
    change: (store) => void unpackFixture('chroma-1-b', store),
  },
};

let host: Host | undefined;
let remoteDirectory = '';
afterEach(async () => {
  await host?.remove();
  await rm(remoteDirectory, { recursive: true, force: true });
});

describe.skipIf(process.platform !== 'linux')('what an operation costs', () => {
  it.each(Object.keys(stores) as StoreKind[])('is what the table says, on a %s store', async (kind) => {
    const { fill, change } = stores[kind];
    remoteDirectory = await mkdtemp(join(fastTmp, 'costs-'));
    const meter = createCostMeter(kind === 'directory' ? { directory: remoteDirectory } : {});
    host = await makeHost({ remote: meter.remote, fs: meter.fs, ports: { findStoreUsers: async () => [] } });
    const { agent, store } = host;
    await fill(store);
    await untilOld();
    const costs: Partial<Record<Operation, Cost>> = {
      'first backup': await meter.measure(() => agent.backup()),
      'unchanged backup': await meter.measure(() => agent.backup()),
    };
    await change(store);
    await untilOld();
    costs['changed backup'] = await meter.measure(() => agent.backup());
    await fill(store);
    await writeFile(join(store, 'more'), 'more');
    await untilOld();
    // As an agent's backup, which copies the store.
    costs['backup of an image'] = await meter.measure(() => agent.backup({ local: { minIntervalMs: 0 } }));
    await host.wipe();
    costs['cold restore'] = await meter.measure(() => agent.restore());
    costs['unchanged restore'] = await meter.measure(() => agent.restore());
    expect(exceptions(costs, limits[kind], noise[kind])).toEqual([]);
  });

  it('is counted where it arises', async () => {
    const { fs, remote, measure } = createCostMeter();
    const dir = await mkdtemp(join(fastTmp, 'costs-'));
    const path = join(dir, 'file');
    try {
      const cost = await measure(async () => {
        const file = await fs.openForWrite(path);
        await file.write(Buffer.alloc(1_000_000), 0);
        await file.close();
        await fs.copy(path, join(dir, 'copy'));
        const bytes = await readFile(path);
        createHash('sha256').update(bytes).update('four');
        await remote.put('key', textBody('hello'));
        for await (const chunk of (await remote.get('key')).body) expect(chunk).toHaveLength(5);
      });
      expect(cost).toMatchObject({
        open: 1,
        write: 1,
        copyFile: 1,
        put: 1,
        get: 1,
        sync: 0,
        bytesCopied: 1_000_000,
        bytesHashed: 1_000_004,
        bytesSent: 5,
        bytesReceived: 5,
      });
      expect(cost.bytesRead).toBeGreaterThanOrEqual(2_000_000);
      expect(cost.bytesRead).toBeLessThan(2_100_000);
      expect(cost.bytesWritten).toBeGreaterThanOrEqual(2_000_000);
      expect(cost.bytesWritten).toBeLessThan(2_100_000);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('is an exception when it doubles, and when the table is out of date', () => {
    const table = limits.plain;
    const limit = table['first backup'];
    const cost = (put: number) => ({ 'first backup': { ...limit, put } });
    expect(exceptions(cost(limit.put), table, {})).toEqual([]);
    expect(exceptions(cost(limit.put * 2), table, {})).toEqual([
      `first backup: put ${limit.put * 2}, at most ${limit.put}`,
    ]);
    expect(exceptions(cost(1), table, {})).toEqual([
      `first backup: put 1, less than half of ${limit.put}: lower the limit`,
    ]);
    expect(exceptions(cost(limit.put + 1), table, { put: 1 })).toEqual([]);
    expect(exceptions(cost(limit.put + 2), table, { put: 1 })).toHaveLength(1);
  });
});

async function writeFiles(
  store: string,
  { count, word }: { readonly count: number; readonly word: string },
): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const folder = join(store, `folder-${index % 10}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `file-${index}`), `${word} ${index} `.repeat(5000).slice(0, 20_000));
  }
}

/** A file that was written a moment ago is waited for, or copied twice. */
const untilOld = (): Promise<void> => sleep(100);
