import { copyFile, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Context } from '../../../src/engine/context.ts';
import { sealLog } from '../../../src/engine/continuous/seal-log.ts';
import { locateHome } from '../../../src/home/home.ts';
import { isLogFollowed } from '../../../src/home/lock.ts';
import { segmentKey, segmentsPrefix } from '../../../src/log/layout.ts';
import { listSegments, readSegment } from '../../../src/log/segments/read-segments.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { StoreUser } from '../../../src/stores/capture/in-use.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { followStore, writeRow } from '../../support/followed-store.ts';
import type { FollowedStore } from '../../support/followed-store.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { QueueStore, rowsOf } from '../../support/queue-store.ts';
import { contextOf, passThrough } from '../../support/race.ts';

let memory: Remote;
/** By the clock of the remote, and of who uses `late`. */
let lateMs: number;
const late = { ...systemClock, now: () => Date.now() + lateMs };
let before: (key: string) => Promise<void>;
let users: readonly StoreUser[];
/** A store in use is copied, not read where it lies. */
const inUse: readonly StoreUser[] = [{ pid: 1, command: 'chroma', executable: undefined, mayWrite: true }];
let beforeNext: (written: string) => Promise<void>;
let beforeState: (from: string, to: string) => Promise<void>;
let beforeShipped: () => Promise<void>;
let remote: Remote;
let followed: FollowedStore;
beforeEach(async () => {
  memory = createMemoryRemote({ now: () => Date.now() + lateMs });
  lateMs = 0;
  before = async () => undefined;
  remote = {
    ...passThrough(memory),
    put: async (key, body, options) => {
      await before(key);
      return memory.put(key, body, options);
    },
  };
  beforeNext = async () => undefined;
  beforeState = async () => undefined;
  beforeShipped = async () => undefined;
  const fs: FileSystem = {
    ...nodeFileSystem,
    rename: async (from, to) => {
      if (to.endsWith('/log-next.json')) await beforeNext(from);
      if (to.endsWith('/state.json')) await beforeState(from, to);
      if (to.endsWith('/log-shipped.json')) await beforeShipped();
      await nodeFileSystem.rename(from, to);
    },
  };
  users = [];
  followed = await followStore({ remote, fs, ports: { findStoreUsers: async () => users } });
});
afterEach(() => followed.remove());

/** The queue that another machine gets. */
async function restoredElsewhere(): Promise<readonly string[]> {
  const other = await makeHost({ remote: memory });
  try {
    await restoreChecked(other);
    return rowsOf(other.store, 240);
  } finally {
    await other.remove();
  }
}
/** With its log, a snapshot is not what was checked before the commit any more. Resolves to the number of segments. */
async function restoreChecked({ agent }: Host): Promise<number> {
  const restored = await agent.restore();
  if (restored.type !== 'restored') throw new Error(`not restored, but ${restored.type}`);
  const segments = restored.log?.segments ?? 0;
  expect(restored.phases.some(({ phase }) => phase === 'validate')).toBe(segments > 0);
  return segments;
}
/** As the server does with what its indexes have. */
function purge(from: number, upTo: number): void {
  const store = new QueueStore({ dir: followed.host.store });
  store.change((db) =>
    db.prepare('DELETE FROM embeddings_queue WHERE seq_id >= ? AND seq_id < ?').run(from, upTo),
  );
}
const written = (): readonly string[] => rowsOf(followed.host.store, 240);
/** A state in which the last commit's success was not recorded: its host died, or its answer was lost. */
async function forgetCommit(old: string): Promise<void> {
  const path = join(`${followed.host.root}/.store.sync-agent`, 'state.json');
  const now = JSON.parse(await readFile(path, 'utf8')) as StateFile;
  const was = JSON.parse(old) as StateFile;
  for (const [name, state] of Object.entries(was.remotes))
    state.pending = { id: now.remotes[name]?.parent?.id ?? '', fingerprint: null };
  await writeFile(path, JSON.stringify(was));
}
interface StateFile {
  readonly remotes: Record<string, { readonly parent: { readonly id: string } | null; pending: unknown }>;
}
const state = () => readFile(join(`${followed.host.root}/.store.sync-agent`, 'state.json'), 'utf8');

describe('a store that is followed', () => {
  it('has what comes between the image of a snapshot and its commit behind both snapshots', async () => {
    const first = await followed.snapshot();
    let isWritten = false;
    before = async (key) => {
      if (isWritten || !key.startsWith('commits/')) return;
      isWritten = true;
      followed.write('meanwhile');
      await followed.flush();
    };
    const second = await followed.snapshot();
    expect(isWritten).toBe(true);
    await followed.stop();
    for (const id of [first, second]) {
      const listed = await listSegments(memory, id);
      const segments = await Promise.all(listed.map(({ number }) => readSegment(memory, id, number)));
      expect(segments.flatMap(({ lines }) => lines).join('\n')).toContain('meanwhile');
      // Nobody may go on with the log of the first one any more.
      expect(segments.at(-1)?.head.closedBy).toBe(id === first ? second : undefined);
    }
    expect(await restoredElsewhere()).toEqual(written());
  });

  it('is read also while the end of a log waits for its answer: a server purges meanwhile', async () => {
    const first = await followed.snapshot();
    const store = new QueueStore({ dir: followed.host.store });
    followed.write('saved');
    await followed.flush();
    let isCommitted = false;
    let isPurged = false;
    let tellPurged = (): void => undefined;
    const purged = new Promise<void>((resolve) => (tellPurged = resolve));
    before = async (key) => {
      isCommitted ||= key.startsWith('commits/');
      if (!isCommitted || isPurged || !key.startsWith(segmentsPrefix(first))) return;
      isPurged = true;
      const told = followed.events.length;
      const number = followed.write('meanwhile');
      await followed.until((event) => event.type === 'log-pending' && followed.events.indexOf(event) >= told);
      followed.write('after it');
      store.change((db) => db.prepare('DELETE FROM embeddings_queue WHERE seq_id = ?').run(number));
      tellPurged();
    };
    await followed.snapshot();
    await purged;
    expect(await followed.stop()).toBe(true);
    expect(followed.events.filter((event) => event.type === 'log-broken' && event.isGap)).toEqual([]);
  });

  it('has one record of how far it is saved, although a snapshot begins to count while that is written', async () => {
    await followed.snapshot();
    followed.write('before');
    await followed.flush();
    let taken: Promise<string> | undefined;
    beforeShipped = async () => {
      if (taken !== undefined) return;
      taken = followed.snapshot();
      await taken;
      // What is written beside this has begun by then.
      for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    };
    followed.write('saved');
    await followed.flush();
    const id = await taken;
    expect(id).toBeDefined();
    expect(await followed.stop()).toBe(true);
    expect(followed.events.filter(({ type }) => type === 'log-trouble')).toEqual([]);
    const path = join(`${followed.host.root}/.store.sync-agent`, 'log-shipped.json');
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ snapshot: id });
  });

  it('is captured again if the new snapshot would have no log, and lack what was saved since', async () => {
    await followed.snapshot();
    users = inUse;
    const given: string[] = [];
    beforeNext = async (path) => {
      const { snapshot } = JSON.parse(await readFile(path, 'utf8')) as { snapshot: string };
      given.push(snapshot);
      if (given.length > 1) return;
      followed.write('saved');
      await followed.flush();
      // The log cannot be handed over to it: its first number is taken.
      await memory.put(segmentKey(snapshot, 1), textBody('not of this host'));
    };
    const made = await followed.host.agent.backup({ evenUnchanged: true });
    expect(made).toMatchObject({ type: 'committed', id: given[1] });
    expect(await restoredElsewhere()).toEqual(written());
    expect(followed.events.filter(({ type }) => type === 'diverged' || type === 'warning')).toEqual([]);
    const left: string[] = [];
    for await (const { objects } of memory.list(`history/${given[0]}/`))
      left.push(...objects.map(({ key }) => key));
    expect(left).toEqual([]);
  });

  it('is said to be saved when it is behind both snapshots: the new one may count at any moment', async () => {
    const first = await followed.snapshot();
    const order: string[] = [];
    before = async (key) => {
      if (!key.startsWith('commits/')) return;
      before = async (other) => {
        if (!other.includes('/.sync-agent/log/') || other.startsWith(segmentsPrefix(first))) return;
        // Behind the old one it is at once.
        await new Promise((resolve) => setTimeout(resolve, 200));
        order.push('behind the new one');
      };
      followed.write('meanwhile');
      await followed.flush();
      order.push('said');
      before = async () => undefined;
    };
    await followed.snapshot();
    expect(order).toEqual(['behind the new one', 'said']);
  });

  it('blames nobody after a gap: the log that ended there was its own', async () => {
    const first = await followed.snapshot();
    const saved = followed.write('one');
    await followed.flush();
    followed.write('one');
    purge(saved, followed.write('one'));
    await followed.until((event) => event.type === 'log-broken' && event.isGap);
    await followed.snapshot();
    expect(followed.events.filter((event) => event.type === 'warning')).toEqual([]);
    expect((await followed.host.agent.list()).find(({ id }) => id === first)?.pin).toBeUndefined();
  });

  it('blames nobody after a gap that is read while a segment is on its way', async () => {
    const first = await followed.snapshot();
    let saved = 0;
    before = async (key) => {
      if (!key.startsWith(segmentsPrefix(first))) return;
      before = async () => undefined;
      followed.write('one');
      purge(saved, followed.write('one'));
      await followed.until((event) => event.type === 'log-broken' && event.isGap);
    };
    saved = followed.write('one');
    await followed.until((event) => event.type === 'log-broken' && event.isGap);
    await followed.snapshot();
    expect(followed.events.filter((event) => event.type === 'warning')).toEqual([]);
    expect((await followed.host.agent.list()).find(({ id }) => id === first)?.pin).toBeUndefined();
  });

  it('is compared with its log, unless another snapshot went on from it', async () => {
    const first = await followed.snapshot();
    followed.write('new');
    await followed.flush();
    const { agent } = followed.host;
    expect((await agent.diffRecords({ snapshot: first }, {})).collections).toEqual([]);
    const second = await followed.snapshot();
    expect((await agent.diffRecords({ snapshot: first }, { snapshot: second })).collections).toMatchObject([
      { added: ['new'] },
    ]);
  });

  it('goes on where its host died between a segment and its record, though the queue was purged since', async () => {
    await followed.snapshot();
    const saved = followed.write('one');
    await followed.flush();
    const recorded = join(followed.host.root, '.store.sync-agent/log-shipped.json');
    const old = await readFile(recorded, 'utf8');
    followed.write('one');
    await followed.flush();
    await followed.stop();
    await writeFile(recorded, old);
    purge(saved, followed.write('one'));
    expect(await followed.host.agent.restore()).toMatchObject({ type: 'ahead' });
  });

  it('has it there also if it was saved before the new log began', async () => {
    await followed.snapshot();
    beforeNext = async () => {
      beforeNext = async () => undefined;
      followed.write('meanwhile');
      await followed.flush();
    };
    users = inUse;
    followed.write('before');
    const second = await followed.snapshot();
    const [first] = await listSegments(memory, second);
    expect((await readSegment(memory, second, first?.number ?? 0)).lines.join('\n')).toContain('meanwhile');
    expect(await restoredElsewhere()).toEqual(written());
  });

  it('is saved behind a snapshot whose commit nobody recorded, also by the next process', async () => {
    await followed.snapshot();
    const old = await state();
    followed.write('between');
    await followed.snapshot();
    await followed.stop();
    await forgetCommit(old);
    followed.write('later');
    const stopping = new AbortController();
    const again = followed.host.agent.followLog({ intervalMs: 50, signal: stopping.signal });
    const home = await locateHome(followed.host.store);
    while (!(await isLogFollowed(home))) await new Promise((resolve) => setTimeout(resolve, 5));
    await followed.flush();
    expect(await restoredElsewhere()).toEqual(written());
    stopping.abort();
    await again;
  });

  it('is written by one writer, also if the follower sees a commit before it is recorded', async () => {
    const puts: string[] = [];
    before = async (key) => void puts.push(key);
    beforeState = async (from, to) => {
      const { remotes } = JSON.parse(await readFile(from, 'utf8')) as StateFile;
      const [made] = Object.values(remotes).map(({ parent }) => parent?.id);
      if (made === undefined) return;
      // The commit is there. The follower looks at the state as it was before.
      beforeState = async () => undefined;
      await copyFile(to, `${to}.again`);
      await rename(`${to}.again`, to);
      await followed.until((event) => event.type === 'log-following');
    };
    const id = await followed.snapshot();
    for (const name of ['a', 'b', 'c']) {
      followed.write(name);
      await followed.flush();
    }
    const segments = puts.filter((key) => key.startsWith(segmentsPrefix(id)));
    expect(segments).toEqual([...new Set(segments)]);
    expect(segments.length).toBeGreaterThanOrEqual(3);
  });

  it('answers everybody who asks at once, when all is saved and not before', async () => {
    const id = await followed.snapshot();
    let isOpen = false;
    let answered = 0;
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    let arrive = (): void => undefined;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    before = async (key) => {
      if (!key.startsWith(segmentsPrefix(id)) || isOpen) return;
      arrive();
      await gate;
    };
    const numbers = ['a', 'b', 'c'].map((name) => followed.write(name));
    const asking = numbers.map(async () => {
      await followed.flush();
      answered += 1;
    });
    await arrived;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(answered).toBe(0);
    isOpen = true;
    release();
    await Promise.all(asking);
    const segments = await listSegments(memory, id);
    expect((await readSegment(memory, id, segments.length)).head.to.number).toBe(numbers[2]);
    expect(await readdir(join(followed.host.root, '.store.sync-agent/log-flush'))).toEqual([]);
  });

  it('ends with what it met if that is no failure of the remote', async () => {
    await followed.snapshot();
    before = async (key) => {
      if (key.includes('/.sync-agent/log/')) throw new TypeError('a mistake');
    };
    followed.write('a');
    await expect(followed.flush()).rejects.toMatchObject({
      code: 'BUSY',
      message: 'Cannot tell that everything is saved: the agent has ended',
    });
    await expect(followed.stop()).rejects.toThrow('a mistake');
  });

  it('is checked with its log, too, where it is restored file by file', async () => {
    await followed.snapshot();
    let room = 1e12;
    const diskSpace = async () => ({ freeBytes: room, totalBytes: 1e12 });
    const other = await makeHost({ remote: memory, ports: { diskSpace } });
    try {
      expect(await restoreChecked(other)).toBe(0);
      followed.write('a');
      await followed.flush();
      room = 1000;
      expect(await restoreChecked(other)).toBe(1);
      expect(other.events).toContainEqual(
        expect.objectContaining({ message: expect.stringContaining('replacing in place') as string }),
      );
      expect(rowsOf(other.store, 240)).toEqual(written());
    } finally {
      await other.remove();
    }
  });

  it('stays as of the moment that somebody chose: its log does not go on', async () => {
    await followed.snapshot();
    followed.write('a');
    await followed.flush();
    expect(await followed.stop()).toBe(true);
    await followed.host.agent.restore({ atMs: Date.now() - 60_000, snapshot: 'latest', force: true });
    expect(written()).toEqual([]);
    expect(await followed.host.agent.restore()).toMatchObject({ type: 'ahead' });
    expect(written()).toEqual([]);
  });

  it('comes back with all that its log has if its disk is lost', async () => {
    await followed.snapshot();
    followed.write('a');
    await followed.flush();
    const rows = written();
    await followed.stop();
    await rm(followed.host.store, { recursive: true });
    await followed.host.agent.restore();
    expect(written()).toEqual(rows);
    expect(await followed.host.agent.restore()).toMatchObject({ type: 'equal' });
  });

  it('is behind the snapshot that another host made of the same log, although that host had not saved all of it in the old log', async () => {
    const first = await followed.snapshot();
    followed.write('saved');
    await followed.flush();
    await followed.stop();
    const other = await makeHost({ remote });
    const stopping = new AbortController();
    try {
      await other.agent.restore();
      const following = other.agent.followLog({ intervalMs: 100, signal: stopping.signal });
      const until = async (isTrue: (type: string) => boolean): Promise<void> => {
        while (!other.events.some(({ type }) => isTrue(type))) await Promise.race([following, sleep(5)]);
      };
      await until((type) => type === 'log-following');
      let goOn = (): void => undefined;
      const released = new Promise<void>((resolve) => (goOn = resolve));
      let begin = (): void => undefined;
      const begun = new Promise<void>((resolve) => (begin = resolve));
      before = async (key) => {
        if (!key.startsWith(segmentsPrefix(first))) return;
        begin();
        await released;
      };
      writeRow(join(other.store, 'chroma.sqlite3'), 'on its way');
      await begun;
      writeRow(join(other.store, 'chroma.sqlite3'), 'not saved');
      other.events.length = 0;
      await other.agent.backup({ evenUnchanged: true });
      await until((type) => type === 'log-following');
      goOn();
      const last = async () => {
        const [listed] = (await listSegments(memory, first)).slice(-1);
        return readSegment(memory, first, listed?.number ?? 0);
      };
      while ((await last()).head.closedBy === undefined) await Promise.race([following, sleep(5)]);
      expect(await followed.host.agent.restore()).toMatchObject({ type: 'restored' });
    } finally {
      stopping.abort();
      await other.remove();
    }
  });

  it.each([
    ['is behind it', undefined, 'restored'],
    ['has diverged if it has a write that was not saved', 'after', 'diverged'],
  ])('that comes back when rotation has dropped its snapshot %s', async (_, unsaved, type) => {
    await followed.snapshot();
    followed.write('saved');
    await followed.flush();
    await followed.stop();
    const settings = { keepLast: 1, graceMs: 60_000 };
    const other = await makeHost({ remote: memory, clock: late, settings });
    try {
      await other.agent.restore();
      for (let more = 0; more < 2; more += 1) {
        writeRow(join(other.store, 'chroma.sqlite3'), `elsewhere ${more}`);
        await other.agent.backup();
        lateMs += 120_000;
      }
      await other.agent.prune();
      expect(await other.agent.list()).toHaveLength(1);
      if (unsaved !== undefined) followed.write(unsaved);
      expect(await followed.host.agent.restore()).toMatchObject({ type });
    } finally {
      await other.remove();
    }
  });

  it('has diverged from another remote under the same name, which never had its snapshot', async () => {
    await followed.snapshot();
    followed.write('saved');
    await followed.flush();
    await followed.stop();
    const keys: string[] = [];
    for await (const { objects } of memory.list('')) keys.push(...objects.map(({ key }) => key));
    await memory.remove(keys);
    const other = await makeHost({ remote: memory });
    try {
      unpackFixture('chroma-1-b', other.store);
      await other.agent.backup();
      expect(await followed.host.agent.restore()).toMatchObject({ type: 'diverged' });
    } finally {
      await other.remove();
    }
  });

  it('does not go on with the log of its snapshot if that was ended for another one', async () => {
    const id = await followed.snapshot();
    await followed.stop();
    const { position } = await followed.host.agent.show(id);
    const by = '2099-01-01T00-00-00.000Z-00000000';
    await sealLog(await contextAt(followed.host.root), { id, position }, by);
    const sealed = (await listSegments(memory, id)).length;
    const again = await makeHost({ remote, root: followed.host.root });
    const stopping = new AbortController();
    const following = again.agent.followLog({ intervalMs: 50, signal: stopping.signal });
    const told = () => again.events.find(({ type }) => type === 'log-broken' || type === 'log-following');
    while (told() === undefined) await Promise.race([following, sleep(5)]);
    stopping.abort();
    expect(told()).toMatchObject({
      why: `the log of snapshot ${id} ended when snapshot ${by} went on from it`,
    });
    expect(await following).toMatchObject({ isSaved: false });
    expect(await listSegments(memory, id)).toHaveLength(sealed);
  });

  it('has the parent that a commit without an answer made recorded before the next snapshot goes on from it', async () => {
    await followed.snapshot();
    const old = await state();
    const second = await followed.snapshot();
    await forgetCommit(old);
    let recorded: StateFile | undefined;
    beforeNext = async () => {
      recorded = JSON.parse(await state()) as StateFile;
    };
    await followed.snapshot();
    expect(Object.values(recorded?.remotes ?? {})).toMatchObject([{ parent: { id: second }, pending: null }]);
  });

  it('whose log another host has taken while the next snapshot is made is ended and pinned all the same', async () => {
    const first = await followed.snapshot();
    const other = await makeHost({ remote: memory });
    const stopping = new AbortController();
    try {
      await other.agent.restore();
      users = inUse;
      let isTaken = false;
      before = async (key) => {
        if (isTaken || !key.startsWith('commits/')) return;
        isTaken = true;
        void other.agent.followLog({ intervalMs: 50, signal: stopping.signal });
        while (!other.events.some(({ type }) => type === 'log-following')) await sleep(5);
        writeRow(join(other.store, 'chroma.sqlite3'), 'only there');
        await other.agent.flush({ timeoutMs: 10_000 });
        const told = followed.events.length;
        followed.write('only here');
        await followed.until(
          (event) => event.type === 'log-broken' && followed.events.indexOf(event) >= told,
        );
      };
      const second = await followed.snapshot();
      await followed.until((event) => event.type === 'warning' && event.code === 'DIVERGED');
      const [pinned] = await other.agent.list();
      expect(pinned).toMatchObject({
        id: first,
        pin: { reason: expect.stringContaining('has writes of another host') as string },
      });
      const last = (await listSegments(memory, first)).length;
      expect((await readSegment(memory, first, last)).head.closedBy).toBe(second);
      await followed.flush();
      expect(await restoredElsewhere()).toEqual(written());
    } finally {
      stopping.abort();
      await other.remove();
    }
  });

  it('whose log has writes of this host that another one lacks is pinned when that one goes on, and both are told', async () => {
    const first = await followed.snapshot();
    const other = await makeHost({ remote: memory });
    try {
      await other.agent.restore();
      followed.write('only here');
      await followed.flush();
      const store = new QueueStore({ dir: other.store });
      store.write(store.collections()[0] ?? '', 'only there');
      const made = await other.agent.backup();
      expect(made).toMatchObject({ type: 'committed', parent: first });
      const pinned = (await other.agent.list()).map(({ id, pin }) => [id === first, pin?.reason]);
      expect(pinned).toEqual([
        [true, expect.stringContaining('has writes of another host')],
        [false, undefined],
      ]);
      expect(other.events).toContainEqual(expect.objectContaining({ type: 'warning', code: 'DIVERGED' }));
      // Nobody adds to it, and what it has can be restored.
      const last = (await listSegments(memory, first)).length;
      expect((await readSegment(memory, first, last)).head.closedBy).toBe(
        made.type === 'committed' ? made.id : '',
      );
      const to = join(other.root, 'to');
      await other.agent.restoreTo(to, { snapshot: first, atMs: Date.now() + 60_000 });
      expect(rowsOf(to, 240).join()).toContain('only here');
    } finally {
      await other.remove();
    }
  });
});

async function contextAt(root: string): Promise<Context> {
  const home = await locateHome(join(root, 'store'));
  return { ...contextOf(memory, Date.now, () => 0.5, 'other'), home };
}
