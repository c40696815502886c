import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunkBytes } from '../../../src/stores/capture/delta/compare-chunks.ts';
import { openComparer } from '../../../src/stores/capture/delta/comparer.ts';
import type { Comparer } from '../../../src/stores/capture/delta/comparer.ts';

const size = 80 * 1024 * 1024 + 5;
const chunks = Math.ceil(size / chunkBytes);

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
async function compareOften(): Promise<readonly (readonly number[])[]> {
  const answers: (readonly number[])[] = [];
  for (let round = 0; round < 12; round += 1) {
    answers.push(await comparer.differingChunks({ from, to, size }));
    await sleep(50);
  }
  return answers;
}

describe('files that two threads compare', () => {
  it('differ in every chunk in which a byte differs', async () => {
    for (let chunk = 0; chunk < chunks; chunk += 1) writeSync(to, 'x', chunk * chunkBytes + (chunk % 5));
    comparer.prepare(size);
    const all = Array.from({ length: chunks }, (_, chunk) => chunk * chunkBytes);
    for (const answer of await compareOften()) expect(answer).toEqual(all);
  });

  it('differ nowhere if they are equal, and where the copy is too short', async () => {
    comparer.prepare(size);
    for (const answer of await compareOften()) expect(answer).toEqual([]);
    ftruncateSync(to, size - chunkBytes);
    for (const answer of await compareOften())
      expect(answer).toEqual([(chunks - 2) * chunkBytes, (chunks - 1) * chunkBytes]);
  });

  it('are compared to the end if the second thread dies with a chunk', async () => {
    for (let chunk = 0; chunk < chunks; chunk += 1) writeSync(to, 'x', chunk * chunkBytes);
    let died = 0;
    const script = `const { parentPort } = require('node:worker_threads');
      parentPort.on('message', ({ next }) => { Atomics.add(next, 0, 1); process.exit(1); });
      parentPort.postMessage('ready');`;
    comparer = openComparer(() => new Worker(script, { eval: true }).on('exit', () => (died += 1)));
    comparer.prepare(size);
    for (const answer of await compareOften()) expect(answer).toHaveLength(chunks);
    expect(died).toBe(1);
  });

  it('are told apart by an error if one cannot be read', async () => {
    comparer.prepare(size);
    await compareOften();
    await expect(comparer.differingChunks({ from: 1_000_000, to, size })).rejects.toMatchObject({
      code: 'EBADF',
    });
    expect(await comparer.differingChunks({ from, to, size })).toEqual([]);
  });
});
