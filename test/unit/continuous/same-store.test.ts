import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SameStore, StoreReplaced } from '../../../src/engine/continuous/watch/same-store.ts';
import { fastTmp } from '../../support/host.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

let root: string;
const store = (): string => join(root, 'store');
const make = async (dir: string): Promise<void> => {
  await mkdir(dir);
  await writeFile(join(dir, 'chroma.sqlite3'), 'x');
};
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'sync-agent-same-'));
  await make(store());
});
afterEach(() => rm(root, { recursive: true }));

it('sees a store that was replaced within half a second, or at once when asked', async () => {
  const clock = virtualClock();
  const same = new SameStore(store(), clock);
  await same.begin();
  await same.assert();
  await writeFile(join(store(), 'chroma.sqlite3'), 'written');
  same.expire();
  await same.assert();
  await make(join(root, 'other'));
  await rename(store(), join(root, 'old'));
  await rename(join(root, 'other'), store());
  await same.assert();
  await clock.advance(500);
  await expect(same.assert()).rejects.toBeInstanceOf(StoreReplaced);
  same.expire();
  await expect(same.assert()).rejects.toBeInstanceOf(StoreReplaced);
});

it('takes a store that is gone for replaced', async () => {
  const same = new SameStore(store(), virtualClock());
  await same.begin();
  await rm(store(), { recursive: true });
  same.expire();
  await expect(same.assert()).rejects.toBeInstanceOf(StoreReplaced);
});
