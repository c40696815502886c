import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isSyncAgentError } from '../../../src/platform/errors.ts';
import { bytesBody, collect } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { Restored } from '../../../src/engine/restore/place-snapshot.ts';
import type { Formats } from '../../../src/formats/registry.ts';
import { formatCases, objectOf } from '../../support/format-cases.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

const contents = [
  { a: 'one', 'sub/b': 'same in all', c: 'x'.repeat(300) },
  { a: 'two', 'sub/b': 'same in all', c: 'y'.repeat(300) },
  { a: 'three', 'sub/b': 'same in all', d: 'only in the newest' },
] as const;

type Damage = (bytes: Buffer) => Buffer | undefined;

const damages: Record<string, Damage> = {
  'a flipped bit': (bytes) => {
    const rotten = Buffer.from(bytes);
    const at = bytes.length >> 1;
    rotten[at] = (rotten[at] ?? 0) ^ 1;
    return rotten;
  },
  'a lost end': (bytes) => bytes.subarray(0, -2),
  'a byte too many': (bytes) => Buffer.concat([bytes, Buffer.from('!')]),
  zeros: (bytes) => Buffer.alloc(bytes.length),
  'no bytes at all': () => Buffer.alloc(0),
  'a missing object': () => undefined,
};

let remote: Remote;
let formats: Formats;
let hosts: Host[];
let ids: string[];
beforeEach(async () => {
  remote = createMemoryRemote({ now: Date.now });
  hosts = [];
  ids = [];
});
afterEach(async () => {
  for (const each of hosts) await each.remove();
});

async function host(on: Remote = remote, root?: string): Promise<Host> {
  const made = await makeHost({
    remote: on,
    formats,
    ports: { findStoreUsers: async () => [], diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }) },
    ...(root === undefined ? {} : { root }),
  });
  hosts.push(made);
  return made;
}

async function fill(history: 'copy' | 'linked'): Promise<void> {
  const writer = await makeHost({ remote, formats, settings: { history, maxShrink: 1 } });
  hosts.push(writer);
  for (const files of contents) {
    await writer.write(files);
    const result = await writer.agent.backup();
    if (result.type === 'committed') ids.push(result.id);
  }
}

async function keys(): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const page of remote.list('')) found.push(...page.objects.map((object) => object.key));
  return found;
}

async function read(key: string): Promise<Buffer> {
  return collect((await remote.get(key)).body, 1e6);
}

const write = (key: string, bytes: Buffer) => remote.put(key, bytesBody(bytes));

const newestCommit = 'commits/0000000003.json';
const newestCopy = 'history/.commits/0000000003.json';
/** Whether anything that a restore may read depends on the object. */
const isCopy = (key: string): boolean => key.startsWith('history/.commits/');
const matters = (key: string): boolean => /^(history|commits)\//.test(key);

/** What each snapshot really held: stores are only added to. */
const trees: readonly Record<string, string>[] = contents.map((_, index) =>
  Object.fromEntries(contents.slice(0, index + 1).flatMap((files) => Object.entries<string>(files))),
);

/** The object of a file, and the current file if there is one. */
async function objectsOf(id: string, path: string, hasCurrentFiles: boolean): Promise<readonly string[]> {
  const manifest = await (await host()).agent.show(id);
  return [objectOf(formats, manifest, path), ...(hasCurrentFiles ? [path] : [])];
}

const cases = formatCases.flatMap(([name, format]) =>
  (['copy', 'linked'] as const).map((history) => [name, history, format] as const),
);

describe.each(cases)('in a remote with %s content and history %s', (_name, history, format) => {
  const { hasCurrentFiles } = format;
  beforeEach(() => {
    ({ formats } = format);
    return fill(history);
  });

  it.each(Object.keys(damages))(
    '%s in any object is found by verify --all --read-data, by name',
    async (name) => {
      for (const key of await keys()) {
        const good = await read(key);
        await strike(key, damages[name] ?? (() => undefined));
        const checker = await host();
        const report = await checker.agent.verify({ all: true, readData: true });
        const told = [...report.damagedCommits, ...report.snapshots.flatMap((each) => each.problems)].join(
          '\n',
        );
        // Older versions write no copies.
        const isFound = matters(key) && !(name === 'a missing object' && isCopy(key));
        expect([key, report.isSound]).toEqual([key, !isFound]);
        if (isFound) expect(told).toContain(key === newestCommit ? 'commits/0000000003.json' : key);
        await write(key, good);
      }
      expect((await (await host()).agent.verify({ all: true, readData: true })).isSound).toBe(true);
    },
  );

  it.each(Object.keys(damages))(
    '%s in any object never leads to another content: restore names it, and takes the copy or the current file',
    async (name) => {
      const newest = await (await host()).agent.show('latest');
      const reliedOn = formats.of(newest).reliedOn(newest);
      for (const key of await keys()) {
        const good = await read(key);
        await strike(key, damages[name] ?? (() => undefined));
        const bare = await host();
        const result = await bare.agent.restore().catch((error: unknown) => error);
        // All three need it, and it is nowhere else.
        if (!hasCurrentFiles && isSyncAgentError(result, 'SNAPSHOT_CORRUPT')) {
          expect(result.message.split(key)).toHaveLength(4);
          expect(await bare.read()).toBeUndefined();
          await write(key, good);
          continue;
        }
        if (!isRestored(result)) throw new Error(key, { cause: result });
        expect(await bare.read()).toEqual(trees[ids.indexOf(result.id)]);
        const isNewest = result.id === ids.at(-1);
        const warnings = bare.events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
        // Lost, the newest commit is not even passed over; its copy tells that it was there.
        if (!isNewest) expect(warnings.join('\n')).toContain(key === newestCommit ? newestCopy : key);
        const isHealed = key === newestCommit || warnings.join().includes('is right, and was taken instead');
        if (isNewest && !isHealed && warnings.length > 0) throw new Error(`${key}: ${warnings.join()}`);
        // Of a shared object, a part may be damaged that the newest does not need.
        if (hasCurrentFiles || !reliedOn.some((object) => object.key === key))
          expect(isNewest).toBe(!(key === newestCommit && name === 'a missing object'));
        await write(key, good);
      }
    },
  );

  it.each(Object.keys(damages))(
    '%s in an object and in the current file: the next older snapshot',
    async (name) => {
      const [id = '', older] = [ids.at(-1), ids.at(-2)];
      const objects = await objectsOf(id, 'a', hasCurrentFiles);
      for (const key of objects) await strike(key, damages[name] ?? (() => undefined));
      const bare = await host();
      expect(await bare.agent.restore()).toMatchObject({
        type: 'restored',
        id: older,
        skipped: [expect.stringContaining(objects[0] ?? '')],
      });
      expect(await bare.read()).toEqual(trees[1]);
    },
  );

  it.each<[string, (on: Host) => Promise<unknown>]>([
    ['list', ({ agent }) => agent.list()],
    ['pin', ({ agent }) => agent.pin('latest')],
    ['backup', ({ agent }) => agent.backup()],
  ])('a damaged newest commit is told once by %s, which goes by the one before', async (_, work) => {
    await strike(newestCommit, damages['a flipped bit'] ?? (() => undefined));
    await remote.remove([newestCopy]);
    const other = await host();
    await other.write({ ...trees[2], e: 'of another host' });
    await work(other);
    const told = other.events.flatMap((event) =>
      event.type === 'warning' && event.code === 'SNAPSHOT_CORRUPT' ? [event.message] : [],
    );
    expect(told).toEqual([expect.stringContaining(newestCommit)]);
    expect((await other.agent.list()).map(({ id }) => id)).not.toContain(ids[2]);
  });

  it('all snapshots damaged is an error that names each, and leaves nothing behind', async () => {
    const objects = new Set<string>();
    for (const id of ids)
      for (const path of ['a', 'sub/b'])
        for (const key of await objectsOf(id, path, hasCurrentFiles)) objects.add(key);
    for (const key of objects) await strike(key, damages['a flipped bit'] ?? (() => undefined));
    const bare = await host();
    const error: unknown = await bare.agent.restore().catch((thrown: unknown) => thrown);
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw new Error('expected damage', { cause: error });
    for (const id of ids) expect(error.message).toContain(id);
    expect(error.exitCode).toBe(5);
    expect(await bare.read()).toBeUndefined();
  });

  it('a store that is there keeps its content when no snapshot is whole', async () => {
    const keeper = await host();
    await keeper.agent.restore();
    await keeper.write({ a: 'mine' });
    for (const key of (await keys()).filter((each) => !each.startsWith('commits/')))
      await strike(key, () => undefined);
    await expect(keeper.agent.restore({ force: true })).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
    expect(await keeper.read()).toEqual({ ...trees.at(-1), a: 'mine' });
  });

  it('a backup after the damage makes a whole snapshot again', async () => {
    const writer = hosts[0];
    for (const key of await keys()) {
      if (!key.startsWith(`history/${ids.at(-1)}/`)) continue;
      const good = await read(key);
      await strike(key, () => undefined);
      await writer?.agent.backup({ force: true }).catch(() => undefined);
      await write(key, good);
    }
    const bare = await host();
    await bare.agent.restore();
    expect(await bare.read()).toEqual(trees.at(-1));
  });

  it('without the comparison of hashes all this would go unseen: the tests have teeth', async () => {
    // A remote that says what the manifest says of every object, and gives what it has.
    const [key = ''] = await objectsOf('latest', 'a', hasCurrentFiles);
    const good = await read(key);
    await strike(key, damages['a flipped bit'] ?? (() => undefined));
    const healing: Remote = {
      ...passThrough(remote),
      get: async (asked, options) =>
        asked === key
          ? { ...(await remote.get(asked, options)), body: bytesBody(good).open(options?.range) }
          : remote.get(asked, options),
    };
    expect((await (await host(healing)).agent.verify({ all: true, readData: true })).isSound).toBe(true);
    expect((await (await host(remote)).agent.verify({ all: true, readData: true })).isSound).toBe(false);
    // Sizes alone cannot tell.
    expect((await (await host(remote)).agent.verify({ all: true })).isSound).toBe(true);
  });
});

const isRestored = (result: unknown): result is Restored => (result as Restored).type === 'restored';

async function strike(key: string, damage: Damage): Promise<void> {
  const rotten = damage(await read(key));
  if (rotten === undefined) await remote.remove([key]);
  else await write(key, rotten);
}
