import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lookAtDisk } from '../../../src/web/disk-facts.ts';
import { restedLook } from '../../../src/web/rested-look.ts';
import { writeDrillRecord } from '../../../src/home/records/drill-record.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { locateHome, rollbackRoot } from '../../../src/home/home.ts';
import { appendToLog } from '../../../src/home/operations/segments.ts';
import { noon, sampleFacts } from '../../support/sample-status.ts';

const remote = 's3://my-bucket/my-app';

describe('a look at the disk', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sync-agent-look-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('sees the store, its rollback copies and the free space', async () => {
    const store = join(directory, 'chroma');
    const home = await locateHome(store);
    const copy = join(rollbackRoot(home), '2026-11-20T08-15-00.000Z');
    for (const [dir, bytes] of [
      [store, 1000],
      [copy, 700],
    ] as const) {
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, 'a'), Buffer.alloc(bytes));
    }
    const facts = await lookAtDisk(home, remote, noon);
    expect(facts).toMatchObject({
      atMs: noon,
      store: { bytes: 1000, files: 1 },
      rollbackCopies: [{ name: '2026-11-20T08-15-00.000Z', bytes: 700, files: 1 }],
    });
    expect(facts.drill).toBeNull();
    const { drill } = sampleFacts;
    if (drill !== null) await writeDrillRecord(nodeFileSystem, { home, location: remote }, drill);
    expect((await lookAtDisk(home, remote, noon)).drill).toEqual(drill);
    expect((await lookAtDisk(home, 's3://another', noon)).drill).toBeNull();
    expect(facts.operations).toEqual([]);
    const began = { event: 'begin', id: '1', at: '2026-11-21T08:00:00Z', operation: 'prune', host: 'h', user: 'u', pid: 2 ** 30, process: 'x', program: 'p', before: null }; // prettier-ignore
    for (let id = 1; id <= 12; id += 1)
      await appendToLog(nodeFileSystem, home, JSON.stringify({ ...began, id: String(id) }));
    const { operations } = await lookAtDisk(home, remote, noon);
    expect(operations).toHaveLength(10);
    expect(operations?.at(-1)).toMatchObject({ id: '12', operation: 'prune', state: 'open' });
    expect(facts.disk?.totalBytes).toBeGreaterThan(facts.disk?.freeBytes ?? Infinity);
  });

  it.skipIf(process.platform !== 'linux')('sees the memory of who has the store open', async () => {
    const file = join(directory, 'chroma', 'a');
    mkdirSync(join(directory, 'chroma'));
    writeFileSync(file, 'content');
    const home = await locateHome(join(directory, 'chroma'));
    expect((await lookAtDisk(home, remote, noon)).usersMemoryBytes).toBeNull();
    const script =
      "require('fs').openSync(process.argv[1], 'r'); console.log('open'); setInterval(() => {}, 1000)";
    const server = spawn(process.execPath, ['-e', script, file]);
    await once(server.stdout, 'data');
    const bytes = (await lookAtDisk(home, remote, noon)).usersMemoryBytes;
    server.kill();
    // A bare Node has some 40 MB.
    expect(bytes).toBeGreaterThan(10e6);
    expect(bytes).toBeLessThan(1e9);
  });

  it('of a missing store still shows the rest', async () => {
    const facts = await lookAtDisk(await locateHome(join(directory, 'none')), remote, noon);
    expect(facts).toMatchObject({ store: null, rollbackCopies: [] });
    expect(facts.disk?.totalBytes).toBeGreaterThan(0);
  });
});

describe('a look at the disk is shared', () => {
  const setUp = (costMs = 0) => {
    const state = { now: 0, looks: 0 };
    const look = restedLook(
      async () => {
        state.looks += 1;
        state.now += costMs;
        return { ...sampleFacts, atMs: state.looks };
      },
      () => state.now,
    );
    return { state, look };
  };

  it('for five seconds: requests are answered from memory', async () => {
    const { state, look } = setUp();
    await look();
    state.now = 4999;
    expect(await look()).toMatchObject({ atMs: 1 });
    state.now = 5000;
    expect(await look()).toMatchObject({ atMs: 2 });
  });

  it('for longer if it took longer', async () => {
    const { state, look } = setUp(10_000);
    await look();
    state.now += 10_000 * 19 - 1;
    await look();
    expect(state.looks).toBe(1);
    state.now += 1;
    await look();
    expect(state.looks).toBe(2);
  });

  it('after a failure too, which gives no facts', async () => {
    let looks = 0;
    const look = restedLook(
      () => {
        looks += 1;
        return Promise.reject(new Error('no disk'));
      },
      () => 0,
    );
    expect([await look(), await look(), looks]).toEqual([null, null, 1]);
  });
});
