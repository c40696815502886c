import { mkdirSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { openComparer } from '../../../src/stores/capture/delta/comparer.ts';
import { openImage } from '../../../src/stores/capture/image.ts';
import { ChangeTally } from '../../../src/stores/capture/change-tally.ts';
import { catchUp } from '../../../src/stores/capture/catch-up.ts';
import type { CaughtUp } from '../../../src/stores/capture/catch-up.ts';

let root: string;
let tally: ChangeTally;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-catch-up-'));
  tally = new ChangeTally();
  await mkdir(join(root, 'store/old'), { recursive: true });
  await writeFile(join(root, 'store/old/file'), 'old');
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** `onLook` is called between the two looks of each round, with its number. */
async function catchUpWith(
  patienceMs: number,
  onLook: (round: number) => void,
): Promise<CaughtUp | undefined> {
  let asked = 0;
  const clock: typeof systemClock = {
    ...systemClock,
    now: () => {
      asked += 1;
      // Before a look and after it.
      if (asked % 2 === 0) onLook(asked / 2);
      return systemClock.now() + 60_000;
    },
  };
  return catchUp(
    {
      dir: join(root, 'store'),
      kind: {
        findDatabases: async () => [],
        unfinishedWrites: () => ({ active: [], stalled: [] }),
      },
      image: openImage(join(root, 'store'), join(root, 'image'), {
        fs: nodeFileSystem,
        clock: systemClock,
        comparer: openComparer(),
      }),
      databases: [],
      fence: { unfenced: [], release: () => 0 },
      tally,
    },
    { clock, fs: nodeFileSystem, timeoutMs: 0, unfinishedMs: 0, patienceMs, budgetBytes: 1e6 },
  );
}

const makeCollection = (name: string): void => mkdirSync(join(root, 'store', name));

describe('a store where directories come between the looks', () => {
  it('is caught up with without beginning anew, once no more come', async () => {
    const caughtUp = await catchUpWith(30_000, (round) => {
      if (round <= 3) makeCollection(`new-${round}`);
    });
    expect(caughtUp?.source.directories.map(({ path }) => path)).toEqual([
      '',
      'new-1',
      'new-2',
      'new-3',
      'old',
    ]);
    expect(await readFile(join(root, 'image/old/file'), 'utf8')).toBe('old');
  });

  it('is given up when patience ends, and what came most often is known', async () => {
    expect(await catchUpWith(200, (round) => makeCollection(`new-${round}`))).toBeUndefined();
    expect(tally.describe()).toMatch(/^"new-1\/" \(seen once\), .*, [0-9]+ others$/);
  });
});
