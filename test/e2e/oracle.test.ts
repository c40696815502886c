import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Expectation } from '../support/busy-writer.ts';
import { forkBusyWriter } from '../support/busy-writer-process.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { checkRestored, describeFindings } from '../support/oracle.ts';

/** The oracle decides whether a backup is good, so it is tested itself: on a good copy, and on bad ones. */
describe.skipIf(chromaAvailable() !== undefined)('the oracle', () => {
  let directory = '';
  let store = '';
  /** An earlier, also consistent copy of the same store. */
  let earlier = '';
  let expectation: Expectation;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sync-agent-oracle-test-'));
    store = join(directory, 'store');
    earlier = join(directory, 'earlier');
    const server = await startChromaServer({ path: store });
    try {
      const writer = await forkBusyWriter({ port: server.port });
      await sleep(4000);
      await writer.pause();
      await cp(store, earlier, { recursive: true });
      await writer.resume();
      await sleep(4000);
      const report = await writer.stop();
      expect(report.failures).toEqual([]);
      expect(report.operations).toBeGreaterThan(20);
      expectation = await writer.expectation(await writer.checkpoint());
    } finally {
      await server.stop();
    }
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('finds nothing in a copy of a stopped store', async () => {
    expect(describeFindings(await checkRestored(store, expectation))).toBe('no findings');
  });

  it('finds an older state, where a newer one was acknowledged', async () => {
    const types = (await checkRestored(earlier, expectation)).map(({ type }) => type);
    expect(types).toContain('record lost');
  });

  it('finds vector indexes that are older than the records', async () => {
    const mixed = await copyOf(store);
    for (const { name } of await indexFolders(earlier)) {
      await cp(join(earlier, name), join(mixed, name), { recursive: true });
    }
    expect(await checkRestored(mixed, expectation)).not.toEqual([]);
  });

  it('finds missing vector indexes', async () => {
    const mixed = await copyOf(store);
    for (const { name } of await indexFolders(mixed)) await rm(join(mixed, name), { recursive: true });
    expect(await checkRestored(mixed, expectation)).not.toEqual([]);
  });

  it('finds a store that lost its database, which a server takes for a new one', async () => {
    const mixed = await copyOf(store);
    await rm(join(mixed, 'chroma.sqlite3'));
    expect((await checkRestored(mixed, expectation)).map(({ type }) => type)).toContain('collection missing');
  });

  async function copyOf(path: string): Promise<string> {
    const copy = await mkdtemp(join(directory, 'mixed-'));
    await cp(path, copy, { recursive: true });
    return copy;
  }
});

async function indexFolders(path: string): Promise<readonly { readonly name: string }[]> {
  return (await readdir(path, { withFileTypes: true })).filter((entry) => entry.isDirectory());
}
