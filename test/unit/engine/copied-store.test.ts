import { readFileSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { indexFiles } from '../../../src/stores/chroma/unfinished-indexes.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { fastTmp, makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let root = '';
let host: Host;
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'copied-store-'));
  host = await makeHost({
    remote: createMemoryRemote({ now: Date.now }),
    root,
    ports: { findStoreUsers: async () => [] },
  });
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Every file in an order that no persist has: the pickles first, `stepMs` between one file's time and the next's. */
async function copyStore(from: string, firstMs: number, stepMs: number): Promise<void> {
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(from.length + 1))
    .toSorted((a, b) => placeOf(b) - placeOf(a));
  for (const [index, path] of paths.entries()) {
    await mkdir(join(host.store, dirname(path)), { recursive: true });
    await copyFile(join(from, path), join(host.store, path));
    const time = (firstMs + index * stepMs) / 1000;
    await utimes(join(host.store, path), time, time);
  }
}

const placeOf = (path: string): number => indexFiles.indexOf(path.slice(path.lastIndexOf('/') + 1));

/** The folder of an index that was persisted. */
async function persistedIndex(): Promise<string> {
  const paths = await readdir(host.store, { recursive: true });
  const pickle = paths.find((path) => path.endsWith('index_metadata.pickle'));
  if (pickle === undefined) throw new Error('the fixture has no persisted index');
  return join(host.store, dirname(pickle));
}

describe('a store that was copied a moment ago', () => {
  const day = 86_400_000;

  it.each<[string, number, number]>([
    ['the times of their copying, which took a moment', -200, 10],
    ['the times of their copying, which took minutes', -600_000, 20_000],
    ['the same time, as after a checkout', 0, 0],
    ['times in the future', day, 50],
    ['times in the future, but for the last few', -10_000, 1_000],
    ['times long ago', -day, 50],
  ])(
    'is backed up as quickly as any, its files having %s',
    async (_, firstMs, stepMs) => {
      const original = unpackFixture('chroma-1-a', join(root, 'original'));
      await copyStore(original, Date.now() + firstMs, stepMs);
      const start = performance.now();
      expect(await host.agent.backup()).toMatchObject({ type: 'committed' });
      // Half a second's rest, and the work. Waiting for a persist that no one will end takes 30 s.
      expect(performance.now() - start).toBeLessThan(4000);
    },
    60_000,
  );
});

describe('an index in the middle of a persist that does not go on', () => {
  /** What the first step of a persist does: one element more in the header. */
  function beginPersist(folder: string): () => void {
    const path = join(folder, 'header.bin');
    const whole = readFileSync(path);
    const begun = Buffer.from(whole);
    begun.writeUInt32LE(begun.readUInt32LE(20) + 1, 20);
    writeFileSync(path, begun);
    return () => {
      writeFileSync(path, whole);
      const pickle = join(folder, 'index_metadata.pickle');
      writeFileSync(pickle, readFileSync(pickle));
    };
  }

  it('is waited for when its image is unsound, and captured once the persist has ended', async () => {
    unpackFixture('chroma-1-a', host.store);
    const end = beginPersist(await persistedIndex());
    const timer = setTimeout(end, 3000);
    try {
      expect(await host.agent.backup()).toMatchObject({ type: 'committed' });
    } finally {
      clearTimeout(timer);
    }
  }, 60_000);

  it('is damage when its server is gone, which takes seconds to find out', async () => {
    unpackFixture('chroma-1-a', host.store);
    beginPersist(await persistedIndex());
    const start = performance.now();
    await expect(host.agent.backup()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(performance.now() - start).toBeLessThan(15_000);
  }, 60_000);
});
