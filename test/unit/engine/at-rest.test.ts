import { appendFileSync, chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BackupOptions } from '../../../src/engine/backup/backup.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { createDirectoryRemote } from '../../../src/remotes/directory/directory-remote.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { StoreUser } from '../../../src/stores/capture/in-use.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { fastTmp, makeHost, shiftableClock } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';

const server: StoreUser = { pid: 4711, command: 'chroma run', executable: undefined, mayWrite: true };

let root = '';
let remote: Remote;
let copies: string[] = [];
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'backup-at-rest-'));
  remote = createMemoryRemote({ now: Date.now });
  copies = [];
});
afterEach(() => rm(root, { recursive: true, force: true }));

const open = (options: Partial<HostOptions> = {}, users: readonly StoreUser[] = []): Promise<Host> =>
  makeHost({
    remote,
    root,
    ports: { findStoreUsers: async () => users },
    fs: {
      ...nodeFileSystem,
      copy: (from, to, more) => {
        copies.push(from);
        return nodeFileSystem.copy(from, to, more);
      },
    },
    ...options,
  });

/** What the remote's newest snapshot holds. */
async function restored(): Promise<Record<string, string> | undefined> {
  await rm(root, { recursive: true });
  const host = await open();
  await host.agent.restore();
  return host.read();
}

/** A remote in which the first put of an object whose key ends so calls `first`. */
function withFirst(end: string, first: (signal: AbortSignal | undefined) => unknown): Remote {
  let isFirst = true;
  return {
    ...remote,
    put: async (key, body, options) => {
      const put = await remote.put(key, body, options);
      if (!key.endsWith(end) || !isFirst) return put;
      isFirst = false;
      await first(options?.signal);
      return put;
    },
  };
}

async function objects(): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const page of remote.list('history/')) found.push(...page.objects.map(({ key }) => key));
  return found;
}

describe('a backup of a store that nobody has open', () => {
  it.each<[string, BackupOptions, readonly StoreUser[], boolean]>([
    ['copies nothing', {}, [], false],
    ['copies it while a server has it open', {}, [server], true],
    ['copies it when it is the work of an agent', { local: { minIntervalMs: 0 } }, [], true],
  ])('%s', async (_, options, users, isCopied) => {
    const host = await open({}, users);
    await host.write({ a: 'one' });
    expect(await host.agent.backup(options)).toMatchObject({ type: 'committed' });
    expect(copies.length > 0).toBe(isCopied);
    expect(await restored()).toEqual({ a: 'one' });
  });

  it.each<[string, BackupOptions, boolean]>([
    ['itself', {}, false],
    ['an image of it', { local: { minIntervalMs: 0 } }, true],
  ])('leaves no file in a directory remote that is a name of a file of %s', async (_, options, isCopied) => {
    remote = createDirectoryRemote({ path: join(root, 'remote') });
    const host = await open();
    // Only a remote that is there is known to be on the same device.
    await host.write({ first: 'zero' });
    await host.agent.backup(options);
    await host.write({ a: 'one' });
    // As the files of an image are.
    chmodSync(join(host.store, 'a'), 0o600);
    await host.agent.backup(options);
    // Who linked to a file of the store would have touched it, and copied it then.
    expect(copies.length > 0).toBe(isCopied);
    appendFileSync(join(host.store, 'a'), ', and more');
    const key = (await objects()).find((each) => each.endsWith('/a')) ?? '';
    expect(readFileSync(join(root, 'remote', key), 'utf8')).toBe('one');
  });

  it('commits what a writer has written that came meanwhile, and discards what was uploaded before', async () => {
    const path = join(root, 'store', 'a');
    const host = await open({ remote: withFirst('/a', () => writeFileSync(path, 'two')) });
    await host.write({ a: 'one', b: 'same' });
    const result = await host.agent.backup();
    expect(result).toMatchObject({ type: 'committed' });
    expect(copies).toContain(path);
    expect((await objects()).filter((key) => /\/[ab]$/.test(key))).toHaveLength(2);
    expect(await restored()).toEqual({ a: 'two', b: 'same' });
  });

  it('is given up at once when somebody writes to its database, and begun again', async () => {
    const write = (sql: string): void => {
      const db = new Database(join(root, 'store', 'app.db'));
      db.exec(sql);
      db.close();
    };
    let wasAborted = false;
    // An upload that would take for ever.
    const slow = withFirst('/app.db', async (signal) => {
      write("INSERT INTO t VALUES ('two')");
      await new Promise((resolve) => signal?.addEventListener('abort', resolve));
      wasAborted = true;
      signal?.throwIfAborted();
    });
    const host = await open({ remote: slow });
    await host.write({ 'app.db': '' });
    write("CREATE TABLE t(x); INSERT INTO t VALUES ('one')");
    expect(await host.agent.backup()).toMatchObject({ type: 'committed', records: 2 });
    expect(wasAborted).toBe(true);
  });

  it('copies it then as patiently as the first time: an index that looks half written is not waited for', async () => {
    const store = join(root, 'store');
    unpackFixture('chroma-1-a', store);
    const header = (await readdir(store, { recursive: true })).find((path) => path.endsWith('header.bin'));
    await utimes(join(store, header ?? ''), new Date(), new Date());
    const clock = shiftableClock();
    clock.forward(2000);
    const path = join(store, 'more');
    const slow = withFirst('/chroma.sqlite3', () => writeFileSync(path, 'new'));
    const host = await open({ remote: slow, clock });
    const began = performance.now();
    expect(await host.agent.backup()).toMatchObject({ type: 'committed' });
    expect(host.events.filter(({ type }) => type === 'captured')).toHaveLength(2);
    expect(performance.now() - began).toBeLessThan(2500);
  });

  it('does not take a store for unchanged, or damaged, that was written while it was read', async () => {
    const host = await open();
    await host.write({ a: 'one' });
    const first = await host.agent.backup();
    // Equal bytes, so that the backup would say that nothing changed.
    await host.write({ a: 'one' });
    const path = join(root, 'store', 'a');
    const late: Remote = {
      ...remote,
      list: async function* (prefix, options) {
        if (prefix.startsWith('history/')) writeFileSync(path, 'two');
        yield* remote.list(prefix, options);
      },
    };
    const again = await (await open({ remote: late })).agent.backup();
    expect(again).toMatchObject({ type: 'committed', parent: first.type === 'committed' ? first.id : '' });
    expect(await restored()).toEqual({ a: 'two' });
  });

  it('ends with the interruption when it is interrupted', async () => {
    const stop = new AbortController();
    const host = await open({ remote: withFirst('/a', () => stop.abort(new Error('enough'))) });
    await host.write({ a: 'one' });
    await expect(host.agent.backup({ signal: stop.signal })).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(copies).toEqual([]);
  });
});
