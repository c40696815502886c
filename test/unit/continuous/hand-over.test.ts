import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LogKeeper } from '../../../src/engine/continuous/log-keeper.ts';
import type { Context } from '../../../src/engine/context.ts';
import { logNextPath, readLogReady, writeLogFile } from '../../../src/home/log-files.ts';
import { listSegments } from '../../../src/log/segments/read-segments.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { queueLog } from '../../../src/stores/chroma/log/queue-log.ts';
import { QueueStore } from '../../support/queue-store.ts';
import { contextOf } from '../../support/race.ts';

const snapshot = '2026-11-21T11-30-05.123Z-7f3a9c2e';
let remote: Remote;
let context: Context;
let store: QueueStore;
let keeper: LogKeeper;
beforeEach(async () => {
  store = new QueueStore();
  remote = createMemoryRemote({ now: Date.now });
  const dir = join(dirname(store.dir), 'home');
  context = {
    ...contextOf(remote, Date.now, Math.random, 'host'),
    home: { store: store.dir, dir, swap: 'rename' },
  };
  await mkdir(dir);
  keeper = new LogKeeper(context, queueLog, {
    onShipped: () => undefined,
    onBroken: () => undefined,
    onFollowing: () => undefined,
  });
  await keeper.begin();
});
afterEach(() => {
  keeper.close();
  store.remove();
});

/** What a backup is told that has captured the store as it is now. */
async function handedOver(): Promise<unknown> {
  const position = queueLog.positionOf(store.dir, join(context.home.dir, 'scratch'));
  if (position === undefined) throw new Error('no position');
  await writeLogFile(nodeFileSystem, logNextPath(context.home), { snapshot, position });
  await keeper.obey(async () => undefined);
  return readLogReady(context.home);
}

it('a log goes on from an image that is younger than the last look at the store', async () => {
  keeper.read();
  store.write(store.collections()[0] ?? '', 'after the look');
  expect(await handedOver()).toMatchObject({ snapshot, isReady: true, continues: null });
  // The image has it.
  expect(await listSegments(remote, snapshot)).toEqual([]);
});

it('a log does not go on from an image that stands before what was read', async () => {
  const image = await store.copy();
  store.write(store.collections()[0] ?? '', 'before the first look');
  keeper.close();
  keeper = new LogKeeper(context, queueLog, { onShipped: () => undefined, onBroken: () => undefined, onFollowing: () => undefined }); // prettier-ignore
  await keeper.begin();
  const position = queueLog.positionOf(image.dir, join(context.home.dir, 'scratch'));
  image.remove();
  if (position === undefined) throw new Error('no position');
  await writeLogFile(nodeFileSystem, logNextPath(context.home), { snapshot, position });
  await keeper.obey(async () => undefined);
  expect(await readLogReady(context.home)).toMatchObject({ snapshot, isReady: false, continues: null });
});
