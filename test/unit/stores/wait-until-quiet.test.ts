import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { indexFiles, unfinishedIndexes } from '../../../src/stores/chroma/unfinished-indexes.ts';
import { scanStore } from '../../../src/stores/content/scan.ts';
import type { FileEntry } from '../../../src/stores/content/scan.ts';
import { pathsOf } from '../../../src/stores/capture/catch-up.ts';
import { waitUntilQuiet } from '../../../src/stores/capture/wait-until-quiet.ts';

let store: string;
let judged: string[][];
let pauses: number[];
beforeEach(async () => {
  store = await mkdtemp(join(tmpdir(), 'sync-agent-resting-'));
  [judged, pauses] = [[], []];
  for (const folder of ['busy', 'quiet']) {
    await mkdir(join(store, folder));
    for (const name of indexFiles) await writeFile(join(store, folder, name), 'x');
    const long = Date.now() / 1000 - 100;
    for (const name of indexFiles) await utimes(join(store, folder, name), long, long);
  }
  await writeFile(join(store, 'busy/header.bin'), 'y');
});
afterEach(() => rm(store, { recursive: true, force: true }));

const judge = (files: readonly FileEntry[], nowMs: number) => {
  judged.push(files.map(({ path }) => path));
  return unfinishedIndexes(
    files.filter(({ path }) => path.startsWith('busy/')),
    nowMs,
    30_000,
  );
};

const clock: typeof systemClock = {
  ...systemClock,
  sleep: (ms, options) => {
    pauses.push(ms);
    return systemClock.sleep(ms, options);
  },
};

async function wait(activeMs: number, stalledMs: number): Promise<readonly string[]> {
  const { files } = await scanStore(store);
  return pathsOf(await waitUntilQuiet(store, files, judge, { clock, activeMs, stalledMs, pauseMs: 100 }));
}

describe('waiting for an index that is being persisted', () => {
  it('ends with its pickle, and looks at its files alone, less and less often', async () => {
    const timer = setTimeout(() => void writeFile(join(store, 'busy/index_metadata.pickle'), 'y'), 400);
    expect(await wait(10_000, 10_000)).toEqual([]);
    clearTimeout(timer);
    expect(judged[0]).toHaveLength(10);
    for (const paths of judged.slice(1)) expect(paths.every((path) => path.startsWith('busy/'))).toBe(true);
    expect(pauses.slice(0, 6)).toEqual([5, 10, 20, 40, 80, 100]);
    expect(Math.max(...pauses)).toBe(100);
  });

  it('ends when its folder goes, as that of a deleted collection', async () => {
    const timer = setTimeout(() => void rm(join(store, 'busy'), { recursive: true }), 100);
    expect(await wait(10_000, 10_000)).toEqual([]);
    clearTimeout(timer);
  });

  it('tells what gave no rest when patience ends, of which there is another amount for what stands still', async () => {
    const start = performance.now();
    expect(await wait(200, 0)).toContain('busy/header.bin');
    expect(performance.now() - start).toBeLessThan(1000);
    await systemClock.sleep(600);
    expect(await wait(10_000, 0)).toContain('busy/header.bin');
    expect(performance.now() - start).toBeLessThan(3000);
  });
});
