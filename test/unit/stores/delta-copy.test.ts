import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { blockBytes } from '../../../src/stores/capture/delta/compare-chunks.ts';
import { openComparer } from '../../../src/stores/capture/delta/comparer.ts';
import { openDeltaCopy } from '../../../src/stores/capture/delta/delta-copy.ts';
import type { DeltaCopy, LaterMemory } from '../../../src/stores/capture/delta/delta-copy.ts';

const MiB = 1024 * 1024;

let dir: string;
let source: string;
let target: string;
let copy: DeltaCopy;
let memory: LaterMemory;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sync-agent-delta-'));
  [source, target] = [join(dir, 'source'), join(dir, 'target')];
  writeFileSync(source, Buffer.alloc(3 * MiB + 5, 'a'));
  memory = { leftBytes: MiB };
  copy = open();
  await copy.copyAll();
});
afterEach(async () => {
  copy.close();
  await rm(dir, { recursive: true });
});

const open = (): DeltaCopy =>
  openDeltaCopy(source, target, { fs: nodeFileSystem, comparer: openComparer(), memory, path: 'source' });
const change = (bytes: string, position: number): void => {
  const content = readFileSync(source);
  content.write(bytes, position);
  writeFileSync(source, content);
};
const areEqual = (): boolean => readFileSync(source).equals(readFileSync(target));

describe('a copy that is corrected', () => {
  it('is written when writers go on, and is what the source was before', async () => {
    const old = readFileSync(target);
    change('one', 5000);
    change('two', 2 * MiB);
    const wanted = readFileSync(source);
    await copy.catchUp();
    expect(readFileSync(target).equals(old)).toBe(true);
    change('six', 5000);
    await copy.finish();
    expect(readFileSync(target).equals(wanted)).toBe(true);
    await copy.finish();
    expect(readFileSync(target).equals(wanted)).toBe(true);
  });

  it.each<readonly [string, () => void]>([
    ['grew', () => appendFileSync(source, Buffer.alloc(MiB, 'b'))],
    ['shrank', () => truncateSync(source, MiB + 3)],
    ['has no more bytes', () => truncateSync(source, 0)],
  ])('is as long as the source if that %s', async (_, act) => {
    act();
    await copy.catchUp();
    await copy.finish();
    expect(areEqual()).toBe(true);
  });

  it('is corrected twice if it is compared twice', async () => {
    change('one', 5000);
    await copy.catchUp();
    change('two', 9000);
    await copy.catchUp();
    await copy.finish();
    expect(areEqual()).toBe(true);
  });

  it('is written at once if that is too much to keep in memory', async () => {
    appendFileSync(source, Buffer.alloc(2 * MiB, 'b'));
    await copy.catchUp();
    expect(areEqual()).toBe(true);
    change('one', 5000);
    await copy.catchUp();
    expect(areEqual()).toBe(false);
    await copy.finish();
    memory.leftBytes = blockBytes - 1;
    change('two', 5000);
    await copy.catchUp();
    expect(areEqual()).toBe(true);
  });

  it('gives the memory back when it is written, compared again, or closed', async () => {
    const acts = { one: () => copy.finish(), two: () => copy.catchUp(), six: () => copy.close() };
    for (const [text, act] of Object.entries(acts)) {
      change(text, 5000);
      await copy.catchUp();
      expect(memory.leftBytes).toBe(MiB - blockBytes);
      await act();
      expect(memory.leftBytes).toBe(MiB);
    }
    copy = open();
  });
});
