import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blockBytes, longestRange } from '../../../src/stores/capture/delta/compare-chunks.ts';
import type { Range } from '../../../src/stores/capture/delta/compare-chunks.ts';
import { openComparer } from '../../../src/stores/capture/delta/comparer.ts';
import type { Comparer } from '../../../src/stores/capture/delta/comparer.ts';

const size = 80 * 1024 * 1024 + 5;
const blocks = Math.ceil(size / blockBytes);

let dir: string;
let from: number;
let to: number;
let comparer: Comparer;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sync-agent-comparer-'));
  [from, to] = ['from', 'to'].map((name) => openSync(join(dir, name), 'w+')) as [number, number];
  for (const file of [from, to]) ftruncateSync(file, size);
  comparer = openComparer();
});
afterEach(async () => {
  await comparer.close();
  for (const file of [from, to]) closeSync(file);
  rmSync(dir, { recursive: true });
});

/** Compares often, while the second thread starts and when it has started. */
async function compareOften(): Promise<readonly (readonly Range[])[]> {
  const answers: (readonly Range[])[] = [];
  for (let round = 0; round < 12; round += 1) {
    answers.push(await comparer.differingRanges({ from, to, size }));
    await sleep(50);
  }
  return answers;
}

const block = (first: number, last = first): Range => ({
  start: first * blockBytes,
  end: Math.min(size, (last + 1) * blockBytes),
});

describe('files that two threads compare', () => {
  it('differ in every block in which a byte differs', async () => {
    const far = Array.from({ length: Math.ceil(blocks / 7) }, (_, index) => index * 7);
    // At the beginning of a block, at its end, and in between.
    for (const index of far)
      writeSync(to, 'x', Math.min(size - 1, index * blockBytes + [0, blockBytes - 1, 77][index % 3]!));
    comparer.prepare(size);
    for (const answer of await compareOften()) expect(answer).toEqual(far.map((index) => block(index)));
  });

  it('differ in one range if little lies between', async () => {
    for (const index of [3, 4, 7, 11, 40, 41]) writeSync(to, 'x', index * blockBytes);
    writeSync(to, 'x', size - 1);
    expect(await comparer.differingRanges({ from, to, size })).toEqual([
      block(3, 7),
      block(11),
      block(40, 41),
      block(blocks - 1),
    ]);
  });

  it('differ in ranges that are not too long', async () => {
    const end = 1000 * blockBytes + 1;
    writeSync(to, Buffer.alloc(end, 'x'), 0, end, 0);
    const ranges = await comparer.differingRanges({ from, to, size });
    expect(ranges.map(({ start }) => start)).toEqual(
      Array.from({ length: Math.ceil(end / longestRange) }, (_, index) => index * longestRange),
    );
    expect(ranges.at(-1)).toEqual(block(992, 1000));
  });

  it('differ nowhere if they are equal, and where the copy is too short', async () => {
    comparer.prepare(size);
    for (const answer of await compareOften()) expect(answer).toEqual([]);
    ftruncateSync(to, size - blockBytes);
    for (const answer of await compareOften()) expect(answer).toEqual([block(blocks - 2, blocks - 1)]);
  });

  it('are compared to the end if the second thread dies with a chunk', async () => {
    const far = Array.from({ length: Math.ceil(blocks / 7) }, (_, index) => index * 7);
    for (const index of far) writeSync(to, 'x', index * blockBytes);
    let died = 0;
    const script = `const { parentPort } = require('node:worker_threads');
      parentPort.on('message', ({ next }) => { Atomics.add(next, 0, 1); process.exit(1); });
      parentPort.postMessage('ready');`;
    comparer = openComparer(() => new Worker(script, { eval: true }).on('exit', () => (died += 1)));
    comparer.prepare(size);
    for (const answer of await compareOften()) expect(answer).toHaveLength(far.length);
    expect(died).toBe(1);
  });

  it('are told apart by an error if one cannot be read', async () => {
    comparer.prepare(size);
    await compareOften();
    await expect(comparer.differingRanges({ from: 1_000_000, to, size })).rejects.toMatchObject({
      code: 'EBADF',
    });
    expect(await comparer.differingRanges({ from, to, size })).toEqual([]);
  });
});
