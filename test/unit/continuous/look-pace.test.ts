import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Doorbell } from '../../../src/engine/continuous/watch/doorbell.ts';
import { LookPace } from '../../../src/engine/continuous/watch/look-pace.ts';
import { fastTmp } from '../../support/host.ts';

let store: string;
let bell: Doorbell;
let pace: LookPace;
beforeEach(async () => {
  store = await mkdtemp(join(fastTmp, 'sync-agent-pace-'));
  bell = new Doorbell();
  pace = new LookPace(bell, store);
});
afterEach(async () => {
  bell.close();
  await rm(store, { recursive: true });
});
/** Changes the store, and resolves when its event has come. */
async function change(): Promise<void> {
  const before = bell.changesIn(store);
  await writeFile(join(store, 'chroma.sqlite3-journal'), 'x');
  while (bell.changesIn(store) === before) await bell.wait(1000);
}

it('a store is looked at when an event tells of a change', async () => {
  expect(pace.isPolling).toBe(false);
  await change();
  pace.looked(false, 0);
  expect(pace.isPolling).toBe(false);
});

it('a store that is being written is looked at without events until it rests, and then once more', async () => {
  await change();
  pace.looked(true, 1000);
  expect(pace.isPolling).toBe(true);
  pace.looked(true, 1400);
  pace.looked(false, 1899);
  expect(pace.isPolling).toBe(true);
  pace.looked(false, 1900);
  expect(pace.isPolling).toBe(false);
  // Or else what was written just before the events came again would wait.
  expect(await bell.wait(60_000)).toBe(true);
  await change();
  pace.looked(true, 2000);
  expect(pace.isPolling).toBe(true);
});

it('a store without events is looked at again and again, until one comes', async () => {
  pace.looked(true, 0);
  expect(pace.isPolling).toBe(true);
  pace.looked(false, 100_000);
  expect(pace.isPolling).toBe(true);
  await change();
  pace.looked(false, 100_020);
  expect(pace.isPolling).toBe(false);
});
