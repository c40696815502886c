import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Context } from '../../../src/engine/context.ts';
import { mergeHosts } from '../../../src/engine/merge/merge-hosts.ts';
import type { MergeOptions, MergeResult } from '../../../src/engine/merge/merge-result.ts';
import { locateHome } from '../../../src/home/home.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { diskSpace } from '../../../src/platform/disk-space.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { openRecordSource } from '../../../src/stores/chroma/records/open-record-source.ts';
import type { OperationLog } from '../../../src/stores/operation-log.ts';
import type { RecordTarget } from '../../../src/stores/record-source.ts';
import { adapterNamed } from '../../../src/stores/find-adapter.ts';
import { followStore, writeRow } from '../../support/followed-store.ts';
import type { FollowedStore } from '../../support/followed-store.ts';
import { fastTmp, makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { contextOf } from '../../support/race.ts';

let root: string;
let remote: Remote;
let one: FollowedStore;
let two: Host;
let nowOfTwo: () => number;
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'sync-agent-merge-hosts-'));
  remote = createMemoryRemote({ now: Date.now });
  one = await followStore({ remote });
  nowOfTwo = Date.now;
  two = await makeHost({ remote, clock: { ...systemClock, now: () => nowOfTwo() } });
});
afterEach(async () => {
  await one.remove();
  await two.remove();
  await rm(root, { recursive: true });
});

const database = (host: Pick<Host, 'store'>): string => join(host.store, 'chroma.sqlite3');
async function committed(host: Pick<Host, 'agent'>): Promise<string> {
  const made = await host.agent.backup({ evenUnchanged: true });
  if (made.type !== 'committed') throw new Error(`expected a commit, found ${made.type}`);
  return made.id;
}

/** A dry run, against a server that has what host one has. */
async function merge(
  ours: string,
  theirs: string,
  { isPurged = false, ...options }: MergeOptions & { readonly isPurged?: boolean } = {},
): Promise<MergeResult> {
  const asked = new Set<string>();
  /** The first store that is asked is that of A. */
  const purged = (log: OperationLog): OperationLog => ({
    ...log,
    wasAt: (dir, ...rest) => (asked.add(dir).size === 1 ? 'unknown' : log.wasAt(dir, ...rest)),
  });
  const context: Context = {
    ...contextOf(remote, Date.now, Math.random, 'host'),
    home: await locateHome(join(root, 'store')),
    adapterNamed: (name) => {
      const adapter = adapterNamed(name);
      const operationLog = async () => purged((await adapter.operationLog?.()) as OperationLog);
      return isPurged ? { ...adapter, operationLog } : adapter;
    },
    diskSpace,
  };
  const sources: { close(): void }[] = [];
  try {
    return await mergeHosts(
      context,
      { ours, theirs },
      {
        target: { maxBatch: async () => 100 } as unknown as RecordTarget,
        openServer: async () => {
          const source = openRecordSource(one.host.store, { scratch: root });
          sources.push(source);
          return source;
        },
        protect: () => Promise.reject(new Error('a dry run makes no snapshot')),
      },
      { dryRun: true, ...options },
    );
  } finally {
    for (const each of sources) each.close();
  }
}
const writes = ({ collections }: MergeResult): readonly object[] =>
  collections.map(({ written, deleted, conflicts }) => ({
    written,
    deleted,
    conflicts: conflicts.map(({ id, taken }) => `${id} ${taken}`),
  }));

describe('where two hosts parted', () => {
  it('is the place in the log, so that what both have is no change, however it came', async () => {
    const base = await one.snapshot();
    const operation = one.write('shared', 'first');
    await one.flush();
    await two.agent.restore();
    // Compared with the snapshot itself, both sides would have added it.
    writeRow(database(two), 'shared', 'second');
    one.write('own');
    // Before the log is ended because another host went on from it.
    await one.flush();
    const theirs = await committed(two);
    const merged = await merge(base, theirs);
    expect(merged).toMatchObject({ type: 'planned', base: { snapshot: base, operation, isExact: true } });
    expect(writes(merged)).toEqual([{ written: ['shared'], deleted: [], conflicts: [] }]);
    await expect(merge(base, base)).rejects.toMatchObject({ code: 'USAGE' });
    // The other way round the server has not what A has, but has already what B wrote.
    expect(await merge(theirs, base)).toMatchObject({ type: 'refused', differences: [{ ids: ['shared'] }] }); // prettier-ignore
  });

  it('is uncertain if a host purged its queue: what was written there is in conflict where it differs', async () => {
    await one.snapshot();
    one.write('shared', 'first');
    one.write('other', 'first');
    await one.flush();
    await two.agent.restore();
    writeRow(database(two), 'shared', 'second');
    const theirs = await committed(two);
    const ours = await one.snapshot();
    const merged = await merge(ours, theirs, { isPurged: true });
    expect(merged).toMatchObject({ type: 'refused', base: { isExact: false } });
    expect(writes(merged)).toEqual([{ written: [], deleted: [], conflicts: ['shared null'] }]);
  });

  it('is unknown if the snapshot that both went on from is gone: then nothing is merged', async () => {
    const root0 = await one.snapshot();
    const base = await one.snapshot();
    await two.agent.restore();
    writeRow(database(two), 'theirs');
    const theirs = await committed(two);
    one.write('ours');
    const ours = await one.snapshot();
    expect((await merge(ours, theirs)).base.snapshot).toBe(base);
    await one.host.agent.pin(root0);
    await one.host.agent.clearHistory();
    expect((await two.agent.list()).map(({ id }) => id)).not.toContain(base);
    await expect(merge(ours, theirs)).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('not in the remote any more') as string,
    });
  });
});

describe('the record that was written last', () => {
  it('is told by the segments of the logs, and by the snapshot where there is none', async () => {
    const base = await one.snapshot();
    await two.agent.restore();
    one.write('early', 'of one');
    await one.flush();
    const between = Date.now();
    one.write('late', 'of one');
    await one.flush();
    writeRow(database(two), 'early', 'of two');
    writeRow(database(two), 'late', 'of two');
    nowOfTwo = () => between;
    const theirs = await committed(two);
    const merged = await merge(base, theirs, { prefer: 'newest' });
    expect(writes(merged)).toEqual([{ written: ['early'], deleted: [], conflicts: ['early B', 'late A'] }]);
    expect(merged.collections[0]?.conflicts[0]?.times?.theirs).toBe((await two.agent.show(theirs)).createdAt);
  });
});
