import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { collect, textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { Formats } from '../../../src/formats/registry.ts';
import { formatCases, loseFile, objectOf } from '../../support/format-cases.ts';
import { fastTmp, makeHost, shiftableClock } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';
import type { StoreUser } from '../../../src/stores/capture/in-use.ts';
import { passThrough } from '../../support/race.ts';

const hour = 3_600_000;

let remote: Remote;
let clock: ReturnType<typeof shiftableClock>;
let hosts: Host[];
let formats: Formats;
let hasCurrentFiles: boolean;

beforeEach(() => {
  clock = shiftableClock();
  remote = createMemoryRemote({ now: clock.now });
  hosts = [];
});

afterEach(async () => {
  for (const each of hosts) await each.remove();
});

async function host(options: Partial<HostOptions> = {}): Promise<Host> {
  const made = await makeHost({ remote, clock, formats, ...options });
  hosts.push(made);
  return made;
}

async function keys(prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for await (const page of remote.list(prefix)) found.push(...page.objects.map((object) => object.key));
  return found;
}

async function committed(on: Host, options = {}): Promise<string> {
  const result = await on.agent.backup(options);
  if (result.type !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  return result.id;
}

describe.each(formatCases)('with %s content', (_, format) => {
  beforeEach(() => {
    ({ formats, hasCurrentFiles } = format);
  });

  describe('backup', () => {
    it('says so when nothing changed, and commits again with --force', async () => {
      const a = await host();
      await a.write({ x: 'one' });
      const id = await committed(a);
      expect(await a.agent.backup()).toEqual({ type: 'unchanged', id });
      expect(await committed(a, { force: true })).not.toBe(id);
    });

    it('notices that a rewritten file has the same content, without a commit', async () => {
      const a = await host();
      await a.write({ x: 'one' });
      const id = await committed(a);
      await a.write({ x: 'one' });
      expect(await a.agent.backup()).toEqual({ type: 'unchanged', id });
    });

    it.each([
      ['ignored', true],
      ['rejected', false],
    ] as const)('warns where create-only writes are %s, and asks for them: %s', async (support, isAsked) => {
      const asked: boolean[] = [];
      const weak: Remote = {
        ...passThrough(remote),
        put: async (key, body, options) => {
          const isCommit = key.startsWith('commits/');
          if (isCommit) asked.push(options?.ifAbsent === true);
          if (support === 'rejected' && options?.ifAbsent === true)
            throw new SyncAgentError('UNSUPPORTED', 'Cannot put: not implemented');
          // A store that does enforce them, though the probe was misled.
          return remote.put(key, body, { ...options, ifAbsent: isCommit && options?.ifAbsent === true });
        },
      };
      const a = await host({ remote: weak });
      await a.write({ x: 'one' });
      const id = await committed(a);
      await a.agent.pin(id);
      expect(asked).toEqual([isAsked, isAsked]);
      expect(a.events).toContainEqual(
        expect.objectContaining({ message: expect.stringContaining('safe for one host only') as string }),
      );
    });

    it('tells a doctor who is answered other bytes than were written', async () => {
      const padding: Remote = {
        ...passThrough(remote),
        get: async (key, options) => {
          const bytes = await collect((await remote.get(key, options)).body, 1_000_000);
          const body = textBody(`${bytes.toString()} and more`);
          return { ...(await remote.get(key, options)), size: body.size, body: body.open() };
        },
      };
      const { checks } = await (await host({ remote: padding })).agent.doctor();
      expect(checks).toContainEqual(expect.objectContaining({ name: 'consistency', code: 'UNSUPPORTED' }));
    });

    it('waits for the interval, unless forced', async () => {
      const a = await host();
      await a.write({ x: 'one' });
      await committed(a);
      await a.write({ x: 'two' });
      expect((await a.agent.backup({ minIntervalMs: hour })).type).toBe('too-soon');
      clock.forward(hour + 1000);
      await committed(a, { minIntervalMs: hour });
    });

    it('waits for the interval after a snapshot whose maker died before it recorded the commit', async () => {
      const emit = ({ type }: { readonly type: string }): void => {
        if (type === 'committed') throw new Error('killed');
      };
      const dying = await host({ ports: { emit } });
      await dying.write({ x: 'one' });
      await expect(dying.agent.backup()).rejects.toThrow('killed');
      const a = await host({ root: dying.root });
      await a.write({ x: 'two' });
      expect((await a.agent.backup({ local: { minIntervalMs: hour } })).type).toBe('too-soon');
      clock.forward(hour + 1000);
      await committed(a, { local: { minIntervalMs: hour } });
    });

    it('refuses an empty store and one that lost more than half, unless allowed', async () => {
      const a = await host();
      await a.write({ x: 'x'.repeat(100), y: 'y' });
      await committed(a);
      await a.write({ x: 'short' });
      await expect(a.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
      await committed(a, { allowShrink: true });
    });

    it('refuses an empty store on a new host over good data', async () => {
      const [a, b] = [await host(), await host()];
      await a.write({ x: 'x' });
      await committed(a);
      await b.write({ x: '' });
      await expect(b.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
    });

    it('refuses reserved names before it uploads anything', async () => {
      const a = await host();
      await a.write({ 'history/x': '1' });
      await expect(a.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
      expect(await keys()).toEqual([]);
    });

    it('keeps the newest 24, and what is younger than the grace period', async () => {
      const a = await host({ settings: { keepLast: 3, graceMs: 2 * hour } });
      for (let n = 1; n <= 6; n += 1) {
        await a.write({ x: String(n) });
        await committed(a);
      }
      expect(await a.agent.list()).toHaveLength(6);
      clock.forward(3 * hour);
      await a.write({ x: '7' });
      await committed(a);
      const left = await a.agent.list();
      expect(left.map((entry) => entry.generation)).toEqual([5, 6, 7]);
      expect(await keys('commits/')).toHaveLength(3);
      expect(await keys('history/2')).toHaveLength(3);
      expect(await keys('history/.')).toEqual(
        [5, 6, 7].map((generation) => `history/.commits/000000000${generation}.json`),
      );
    });

    it('leaves one snapshot where one is to be kept', async () => {
      const a = await host({ settings: { keepLast: 1, graceMs: 60_000 } });
      for (const text of ['1', '2', '3']) {
        await a.write({ x: text });
        clock.forward(hour);
        await committed(a);
      }
      expect(await a.agent.list()).toHaveLength(1);
    });

    it('drops no snapshot and deletes nothing without pruning; the next backup does both', async () => {
      const a = await host({ settings: { keepLast: 1, graceMs: 60_000 } });
      for (const text of ['1', '2', '3']) {
        await a.write({ x: text });
        clock.forward(hour);
        expect(await a.agent.backup({ prune: false })).toMatchObject({ type: 'committed', dropped: [] });
      }
      expect(await a.agent.list()).toHaveLength(3);
      expect(await keys('history/2')).toHaveLength(3);
      expect(a.events).not.toContainEqual({ type: 'phase', phase: 'rotate' });
      await a.write({ x: '4' });
      clock.forward(hour);
      const next = await a.agent.backup();
      expect(next.type === 'committed' ? next.dropped : []).toHaveLength(3);
      expect(await a.agent.list()).toHaveLength(1);
      expect(await keys('history/2')).toHaveLength(1);
    });

    it('refuses a remote inside the store, and a store inside the remote', async () => {
      const root = await mkdtemp(join(fastTmp, 'sync-agent-nested-'));
      try {
        const store = join(root, 'store');
        await mkdir(store);
        for (const nested of [`file://${store}/backup`, `file://${root}`]) {
          await expect(createAgent({ store, remote: nested }).backup()).rejects.toMatchObject({
            code: 'USAGE',
          });
        }
      } finally {
        await rm(root, { recursive: true });
      }
    });

    it('gives up where another host let go of the objects that linked history names', async () => {
      const settings = { history: 'linked', keepLast: 1, graceMs: hour } as const;
      const a = await host({ settings });
      await a.write({ big: 'unchanged', x: '1' });
      await committed(a);
      let raced = false;
      const racing: Remote = {
        ...passThrough(remote),
        put: async (key, body, options) => {
          if (!raced && key.startsWith('commits/')) {
            raced = true;
            clock.forward(0.4 * hour);
            const other = await host({ settings: { ...settings, graceMs: 0.2 * hour } });
            await other.agent.restore();
            await other.write({ big: 'rewritten', x: '22' });
            await committed(other);
          }
          return remote.put(key, body, options);
        },
      };
      const late = await host({ remote: racing, settings, root: a.root });
      await late.write({ x: '2' });
      await expect(late.agent.backup()).rejects.toMatchObject({ code: 'BUSY' });
      expect(await a.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    });

    it('brings a renamed file back, and each of two with the same bytes, with linked history', async () => {
      const a = await host({ settings: { history: 'linked' } });
      await a.write({ old: 'same bytes', twin: 'twins', 'z/twin': 'twins', x: '1' });
      const first = await committed(a);
      await rename(join(a.store, 'old'), join(a.store, 'new'));
      const second = await committed(a);
      const shown = await a.agent.show(second);
      expect(objectOf(formats, shown, 'twin')).toContain(first);
      expect(await a.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
      const b = await host();
      expect(await b.agent.restore()).toMatchObject({ id: second });
      expect(await b.read()).toEqual({ new: 'same bytes', twin: 'twins', 'z/twin': 'twins', x: '1' });
    });

    it('references unchanged files with linked history, and rotation keeps what is named', async () => {
      const a = await host({ settings: { history: 'linked', keepLast: 1, graceMs: hour } });
      await a.write({ big: 'unchanged', x: '1' });
      const first = await committed(a);
      clock.forward(2 * hour);
      await a.write({ x: '2' });
      const second = await committed(a);
      const shown = await a.agent.show(second);
      const [big, x] = [objectOf(formats, shown, 'big'), objectOf(formats, shown, 'x')];
      expect(big).toContain(first);
      expect(x).toContain(second);
      expect(await keys('history/2')).toEqual([big, x]);
      const b = await host();
      expect((await b.agent.restore()).type).toBe('restored');
      expect(await b.read()).toEqual({ big: 'unchanged', x: '2' });
    });
  });

  describe('restore', () => {
    it('brings everything back on a bare host, and finds nothing to do afterwards', async () => {
      const [a, b] = [await host(), await host()];
      await a.write({ x: 'one', 'deep/er/y': 'two' });
      const id = await committed(a);
      expect(await b.agent.restore()).toMatchObject({ type: 'restored', id });
      expect(await b.read()).toEqual({ x: 'one', 'deep/er/y': 'two' });
      expect(await b.agent.restore()).toEqual({ type: 'equal', id });
      expect(await b.agent.backup()).toEqual({ type: 'unchanged', id });
    });

    it('does nothing with an empty remote', async () => {
      const a = await host();
      expect(await a.agent.restore()).toEqual({ type: 'empty-remote' });
      await expect(a.agent.restore({ snapshot: '~1' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    it('follows a newer snapshot while the local store is unchanged, keeping a rollback copy', async () => {
      const [a, b] = [await host(), await host()];
      await a.write({ x: '1' });
      await committed(a);
      await b.agent.restore();
      await b.write({ x: '2' });
      const second = await committed(b);
      expect(await a.agent.restore()).toMatchObject({ type: 'restored', id: second });
      expect(await a.read()).toEqual({ x: '2' });
      const [copy] = await a.agent.rollbackCopies();
      await a.agent.rollBack(copy?.name ?? '');
      expect(await a.read()).toEqual({ x: '1' });
      expect(await a.agent.rollbackCopies()).toHaveLength(1);
    });

    it('leaves a store alone that is ahead of the remote', async () => {
      const a = await host();
      await a.write({ x: '1' });
      await committed(a);
      await a.write({ x: '2' });
      expect(await a.agent.restore()).toMatchObject({ type: 'ahead' });
      expect(await a.read()).toEqual({ x: '2' });
    });

    it('reports divergence, keeps the local store, and both tips', async () => {
      const [a, b] = [await host({ settings: { keepLast: 1, graceMs: 60_000 } }), await host()];
      await a.write({ x: '1' });
      await committed(a);
      await b.agent.restore();
      await a.write({ x: 'a' });
      await b.write({ x: 'b' });
      const theirs = await committed(b);
      expect(await a.agent.restore()).toMatchObject({ type: 'diverged', tips: [theirs] });
      expect(await a.agent.sync()).toMatchObject({ type: 'diverged' });
      expect(await a.read()).toEqual({ x: 'a' });
      clock.forward(hour);
      const result = await a.agent.backup();
      expect(result).toMatchObject({ type: 'committed', diverged: [theirs, expect.any(String)] });
      clock.forward(hour);
      await a.write({ x: 'a2' });
      await committed(a);
      expect((await a.agent.list()).map((entry) => entry.id)).toContain(theirs);
      await a.agent.prune({ resolve: [theirs] });
      expect((await a.agent.list()).map((entry) => entry.id)).not.toContain(theirs);
    });

    it('takes a snapshot restored by name as a person decision over newer ones', async () => {
      const a = await host();
      await a.write({ x: 'good' });
      const good = await committed(a);
      await a.write({ x: 'bad!' });
      await committed(a);
      await a.agent.restore({ snapshot: good });
      expect(await a.read()).toEqual({ x: 'good' });
      expect(await a.agent.restore()).toMatchObject({ type: 'ahead' });
      await a.write({ x: 'good, and on' });
      expect(await a.agent.backup()).toMatchObject({ type: 'committed', parent: good, diverged: [] });
      const b = await host();
      await b.agent.restore();
      expect(await b.read()).toEqual({ x: 'good, and on' });
    });

    it('falls back to the next older snapshot when an object is damaged, and names it', async () => {
      const [a, b] = [await host(), await host()];
      await a.write({ x: 'one' });
      const first = await committed(a);
      await a.write({ x: 'two' });
      const second = await committed(a);
      const key = objectOf(formats, await a.agent.show(second), 'x');
      await remote.put(key, textBody('twO'));
      if (hasCurrentFiles) await remote.put('x', textBody('tWo'));
      const result = await b.agent.restore();
      expect(result).toMatchObject({ type: 'restored', id: first });
      expect(
        b.events
          .filter((event) => event.type === 'warning')
          .map((event) => event.message)
          .join(),
      ).toContain(key);
      await expect(b.agent.restore({ snapshot: second })).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
      expect(await b.read()).toEqual({ x: 'one' });
      await b.write({ x: 'one, and on' });
      expect(await b.agent.restore()).toMatchObject({ type: 'ahead' });
    });

    it('leaves a foreign store of unknown origin alone, unless it is forced', async () => {
      const [a, b] = [await host(), await host()];
      await a.write({ x: 'one' });
      const id = await committed(a);
      await b.write({ x: 'one' });
      expect(await b.agent.restore()).toEqual({ type: 'equal', id });
      await b.wipe();
      await b.write({ x: 'newer' });
      expect(await b.agent.restore()).toMatchObject({ type: 'diverged' });
      expect(await b.agent.restore({ force: true })).toMatchObject({ type: 'restored' });
      expect(await b.agent.rollbackCopies()).toHaveLength(1);
    });

    it('restores over a store that an application made anew, although state is left', async () => {
      const a = await host();
      await a.write({ x: 'one' });
      await committed(a);
      await rm(a.store, { recursive: true });
      await a.write({ x: '' });
      await rm(join(a.store, 'x'));
      expect(await a.agent.restore()).toMatchObject({ type: 'restored' });
      expect(await a.read()).toEqual({ x: 'one' });
    });

    it('puts a snapshot into a directory of its own', async () => {
      const a = await host();
      await a.write({ x: 'one' });
      await committed(a);
      const dir = join(a.root, 'look');
      expect(await a.agent.restoreTo(dir)).toMatchObject({ type: 'restored-to', dir });
      await expect(a.agent.restoreTo(dir)).rejects.toMatchObject({ code: 'REFUSED' });
    });

    it('replaces in place without a rollback copy on --skip-backup', async () => {
      const [a, b] = [await host(), await host()];
      await a.write({ x: '1', keep: 'same' });
      await committed(a);
      await b.agent.restore();
      await a.write({ x: '2' });
      await committed(a);
      expect(await b.agent.restore({ skipBackup: true })).toMatchObject({ type: 'restored', reusedBytes: 4 });
      expect(await b.read()).toEqual({ x: '2', keep: 'same' });
      expect(await b.agent.rollbackCopies()).toEqual([]);
    });
  });

  describe('prune and clear-history', () => {
    it('never repeats a generation and keeps the newest', async () => {
      const a = await host();
      for (const text of ['1', '2', '3']) {
        await a.write({ x: text });
        await committed(a);
      }
      expect((await a.agent.clearHistory()).dropped).toHaveLength(2);
      expect(await a.agent.list()).toMatchObject([{ generation: 4 }]);
      await a.write({ x: '4' });
      expect(await a.agent.backup()).toMatchObject({ type: 'committed', generation: 5, diverged: [] });
    });

    it('sweeps what a crashed backup left, after the grace period only', async () => {
      const a = await host({ settings: { graceMs: hour } });
      await a.write({ x: '1' });
      await committed(a);
      const orphan = 'history/2020-01-01T00-00-00.000Z-00000000/x';
      await remote.put(orphan, {
        size: 1,
        open: async function* () {
          yield Buffer.from('x');
        },
      });
      await a.agent.prune();
      expect(await keys(orphan)).toHaveLength(1);
      clock.forward(2 * hour);
      await a.agent.prune();
      expect(await keys(orphan)).toEqual([]);
      expect(await a.agent.list()).toHaveLength(1);
    });

    it('never touches what is not a snapshot', async () => {
      const a = await host({ settings: { graceMs: 60_000, keepLast: 1 } });
      const foreign = ['history/photos/cat.jpg', 'commits/readme.txt', 'other/file'];
      for (const key of foreign)
        await remote.put(key, {
          size: 1,
          open: async function* () {
            yield Buffer.from('x');
          },
        });
      for (const text of ['1', '2']) {
        clock.forward(hour);
        await a.write({ x: text });
        await committed(a);
      }
      await a.agent.clearHistory();
      expect(await keys()).toEqual(expect.arrayContaining(foreign));
    });
  });

  describe('restore of the latest, asked for', () => {
    it('takes the place of a changed store, which becomes a rollback copy', async () => {
      const a = await host();
      await a.write({ x: 'saved' });
      const id = await committed(a);
      await a.write({ x: 'changed' });
      expect(await a.agent.restore()).toMatchObject({ type: 'ahead' });
      const result = await a.agent.restore({ snapshot: 'latest' });
      expect(result).toMatchObject({ type: 'restored', id });
      expect(await a.read()).toEqual({ x: 'saved' });
      expect(await a.agent.rollbackCopies()).toHaveLength(1);
    });

    it('passes over a damaged newest one, as a name does not', async () => {
      const a = await host();
      await a.write({ x: 'one' });
      const first = await committed(a);
      await a.write({ x: 'two' });
      const second = await committed(a);
      await loseFile(remote, formats, { snapshot: await a.agent.show(second), path: 'x' });
      await a.write({ x: 'three' });
      await expect(a.agent.restore({ snapshot: second })).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
      expect(await a.agent.restore({ snapshot: 'latest' })).toMatchObject({ type: 'restored', id: first });
    });
  });

  describe('a store that comes while a restore waits for the log', () => {
    it('is seen with its server before anything is downloaded', async () => {
      const a = await host();
      await a.write({ x: 'one' });
      await committed(a);
      clock.forward(hour);
      await a.write({ x: 'two' });
      await committed(a);
      let users: StoreUser[] = [];
      const asked: string[] = [];
      const watched: Remote = {
        ...passThrough(remote),
        get: (key, options) => (asked.push(key), remote.get(key, options)),
        list: async function* (prefix, options) {
          yield* remote.list(prefix, options);
          // As of the first snapshot: without a server it would be replaced.
          if (users.length > 0 || prefix !== 'commits/') return;
          users = [{ pid: 41, command: 'server', executable: '/bin/server', mayWrite: true }];
          await b.write({ x: 'one' });
        },
      };
      const b = await host({ remote: watched, ports: { findStoreUsers: async () => users } });
      await expect(b.agent.restore()).rejects.toMatchObject({ code: 'BUSY' });
      expect(users).toHaveLength(1);
      expect(asked.filter((key) => !key.includes('commits/') && !key.endsWith('manifest.json'))).toEqual([]);
      expect(await b.read()).toEqual({ x: 'one' });
    });
  });

  describe('status and doctor', () => {
    it('ask for the users of the store by the port that they were given', async () => {
      const users = [41, 42].map((pid) => ({
        pid,
        command: 'server',
        executable: '/bin/server',
        mayWrite: true,
      }));
      const a = await host({ ports: { findStoreUsers: async () => users } });
      await a.write({ x: 'one' });
      expect((await a.agent.status()).store.users).toEqual(users);
      const { checks } = await a.agent.doctor();
      expect(checks).toContainEqual(
        expect.objectContaining({
          name: 'store',
          detail: expect.stringContaining('in use by pid 41') as string,
        }),
      );
      expect(checks).toContainEqual(
        expect.objectContaining({ name: 'servers', detail: expect.stringContaining('pid 42') as string }),
      );
    });
  });
});
