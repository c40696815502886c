import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRemote } from '../../../src/remotes/open-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { forEachEffect } from '../../support/each-effect.ts';
import { oldRemote, unpackFixture } from '../../support/fixtures.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { Power, poweredRemote } from '../../support/power.ts';
import { passThrough } from '../../support/race.ts';
import { realS3 } from '../../support/s3.ts';

const hour = 3_600_000;
const trees = [
  { a: 'one', b: 'same' },
  { a: 'two', b: 'same' },
  { a: 'three', b: 'same', d: 'more' },
] as const;

let clock: ReturnType<typeof shiftableClock>;
let hosts: Host[];
beforeEach(() => {
  clock = shiftableClock();
  hosts = [];
});
afterEach(async () => {
  for (const each of hosts) await each.remove();
});

async function host(remote: Remote, options: Partial<Parameters<typeof makeHost>[0]> = {}) {
  const made = await makeHost({
    remote,
    clock,
    ...options,
    ports: { findStoreUsers: async () => [], diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }) },
  });
  hosts.push(made);
  return made;
}

async function keys(remote: Remote, prefix = ''): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const page of remote.list(prefix)) found.push(...page.objects.map(({ key }) => key));
  return found;
}

const drop = async (remote: Remote, prefix: string) => remote.remove(await keys(remote, prefix));

/** Three snapshots, and the host that made them. */
async function fill(remote: Remote, options: Partial<Parameters<typeof makeHost>[0]> = {}) {
  const writer = await host(remote, options);
  const ids: string[] = [];
  for (const files of trees) {
    await writer.write(files);
    const result = await writer.agent.backup();
    if (result.type === 'committed') ids.push(result.id);
  }
  return { writer, ids };
}

const corrupt = { code: 'SNAPSHOT_CORRUPT', remedy: expect.stringContaining('repair-remote') as string };
const warnings = ({ events }: Host): string =>
  events.flatMap((event) => (event.type === 'warning' ? [event.message] : [])).join('\n');

async function expectContents(
  remote: Remote,
  ids: readonly string[],
  options: Partial<Parameters<typeof makeHost>[0]> = {},
): Promise<void> {
  const bare = await host(remote, options);
  expect((await bare.agent.list()).map(({ id }) => id)).toEqual(ids);
  for (const [index, id] of ids.entries()) {
    await bare.agent.restore({ snapshot: id });
    expect(await bare.read()).toEqual(trees[index]);
  }
  expect(await bare.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
}

const places: readonly (readonly [string, () => Promise<{ remote: Remote; close(): Promise<void> }>])[] = [
  ['memory', async () => ({ remote: createMemoryRemote({ now: clock.now }), close: async () => {} })],
  [
    'a directory',
    async () => {
      const dir = await mkdtemp(join(tmpdir(), 'sync-agent-lost-'));
      const { remote } = await openRemote(`file://${dir}`, {
        clock,
        emit: () => undefined,
        fs: nodeFileSystem,
      });
      return { remote, close: () => rm(dir, { recursive: true }) };
    },
  ],
  ...(realS3() === undefined
    ? []
    : [
        [
          'a real S3 server',
          async () => {
            const real = realS3();
            if (real === undefined) throw new Error('unreachable');
            const { endpoint, region, accessKeyId, secretAccessKey } = real;
            const { remote } = await openRemote(`s3://${await real.makeBucket()}/some/prefix`, {
              s3: { endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true },
              clock,
              emit: () => undefined,
              fs: nodeFileSystem,
            });
            return { remote, close: () => remote.close() };
          },
        ] as const,
      ]),
];

describe.each(places)('in %s, a remote that lost its log', (_, open) => {
  it.each([
    ['with manifest.json', []],
    ['without it', ['manifest.json']],
  ])('%s is an error everywhere, and is rebuilt as it was', async (__, more) => {
    const { remote, close } = await open();
    try {
      const { writer, ids } = await fill(remote);
      for (const prefix of ['commits/', ...more]) await drop(remote, prefix);
      const before = await keys(remote);
      const other = await host(remote);
      await other.write({ a: 'of another store' });
      const { agent } = other;
      for (const work of [
        () => agent.list(),
        () => agent.restore(),
        () => agent.backup(),
        () => agent.backup({ force: true }),
        () => agent.sync(),
        () => agent.verify(),
        () => agent.prune(),
        () => agent.clearHistory(),
        () => agent.show('latest'),
        () => agent.diff('~1', '~0'),
        () => agent.pin('latest'),
        () => writer.agent.backup(),
        () => writer.agent.restore(),
      ])
        await expect(work()).rejects.toMatchObject(corrupt);
      expect((await agent.status()).remote).toMatchObject({ isReachable: false, error: corrupt });
      expect((await agent.doctor()).worst).toBe('SNAPSHOT_CORRUPT');
      expect(await keys(remote)).toEqual(before);

      const planned = await agent.repairRemote({ dryRun: true });
      expect(planned).toMatchObject({ isDryRun: true, newCommit: 3, objects: 3 });
      expect(await keys(remote)).toEqual(before);
      expect(await agent.repairRemote()).toMatchObject({ objects: 3 });
      expect(await agent.repairRemote()).toMatchObject({ objects: 0 });
      for (const key of before) expect(await keys(remote)).toContain(key);
      await expectContents(remote, ids);
      expect((await writer.agent.restore()).type).toBe('equal');
      expect((await writer.agent.backup()).type).toBe('unchanged');
    } finally {
      await close();
    }
  });
});

describe('a remote without a commit', () => {
  it('is new where a first backup was cut off before it committed', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const cut: Remote = {
      ...passThrough(remote),
      put: (key, body, options) => {
        if (key.startsWith('commits/')) throw new Error('killed');
        return remote.put(key, body, options);
      },
    };
    const a = await host(cut);
    await a.write(trees[0]);
    await expect(a.agent.backup()).rejects.toThrow('killed');
    expect(await keys(remote, 'history/2')).toHaveLength(2);
    const b = await host(remote);
    expect((await b.agent.restore()).type).toBe('empty-remote');
    await b.write(trees[0]);
    expect((await b.agent.backup()).type).toBe('committed');
    clock.forward(5 * hour);
    await b.write(trees[1]);
    await b.agent.backup();
    expect(await keys(remote, 'history/.attempts/')).toEqual([]);
    expect(await keys(remote, 'history/2')).toHaveLength(4);
  });

  it.each([
    ['files', trees[0]],
    ['no file', {}],
  ])('is marked before anything else is seen, with a store of %s', async (_, tree) => {
    const remote = createMemoryRemote({ now: clock.now });
    const done: string[] = [];
    const slow: Remote = {
      ...passThrough(remote),
      put: async (key, body, options) => {
        // Time for others to come first.
        if (key.startsWith('history/.attempts/')) await sleep(100);
        const result = await remote.put(key, body, options);
        if (!key.endsWith('/probe')) done.push(key);
        return result;
      },
    };
    const a = await host(slow);
    await a.write(tree);
    await mkdir(join(a.store, 'empty'), { recursive: true });
    expect((await a.agent.backup()).type).toBe('committed');
    expect(done[0]).toMatch(/^history\/\.attempts\//);
    expect(done.some((key) => key.startsWith('commits/'))).toBe(true);
    expect(await keys(remote, 'history/.attempts/')).toEqual([]);
  });

  it('costs nothing to tell apart while there is one, and two listings else', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const empty = await host(remote);
    await empty.agent.list();
    expect(empty.agent.counts()).toMatchObject({ list: 3, get: 0, head: 0 });
    await fill(remote);
    const bare = await host(remote);
    await bare.agent.list();
    expect(bare.agent.counts()).toMatchObject({ list: 1, get: 1, head: 0 });
  });

  it('is lost where nothing but manifest.json and the current files is left', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const { writer } = await fill(remote);
    for (const prefix of ['commits/', 'history/']) await drop(remote, prefix);
    await expect(writer.agent.list()).rejects.toMatchObject(corrupt);
    await expect(writer.agent.backup({ force: true })).rejects.toMatchObject(corrupt);
  });

  it('is lost where none of its commits can be read', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const { ids } = await fill(remote);
    for (const key of await keys(remote, 'commits/')) await remote.put(key, textBody('{}'));
    await drop(remote, 'history/.commits/');
    const other = await host(remote);
    await other.write(trees[0]);
    await expect(other.agent.backup()).rejects.toMatchObject(corrupt);
    await expect(other.agent.list()).rejects.toMatchObject(corrupt);
    await other.agent.repairRemote();
    expect((await other.agent.list()).map(({ id }) => id)).toEqual(ids);
    const bare = await host(remote);
    await bare.agent.restore();
    expect(await bare.read()).toEqual(trees[2]);
  });
});

describe('a log that lost a part of itself', () => {
  it('at its end: backups and prune refuse, restore tells, and repair-remote brings it back', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const { writer, ids } = await fill(remote);
    await remote.remove(['commits/0000000003.json', 'commits/0000000002.json']);
    await writer.write({ a: 'four' });
    await expect(writer.agent.backup()).rejects.toMatchObject(corrupt);
    await expect(writer.agent.pin('latest')).rejects.toMatchObject(corrupt);
    expect(await writer.agent.restore()).toMatchObject({ type: 'ahead' });
    const bare = await host(remote);
    expect(await bare.agent.restore()).toMatchObject({
      id: ids[0],
      skipped: [expect.stringContaining('its newest commits are gone')],
    });
    expect(await bare.agent.verify()).toMatchObject({ isSound: false });
    await bare.agent.repairRemote();
    await expectContents(remote, ids);
    expect(await writer.agent.backup()).toMatchObject({ type: 'committed', diverged: [] });
  });

  it('at its end, without copies: a lost parent is told as that, and no divergence', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const { writer, ids } = await fill(remote);
    await remote.remove(['commits/0000000003.json']);
    await drop(remote, 'history/.commits/');
    expect(await writer.agent.restore()).toMatchObject({ type: 'ahead' });
    await writer.write({ a: 'four' });
    expect(await writer.agent.backup()).toMatchObject({ type: 'committed', parent: ids[1], diverged: [] });
    expect(warnings(writer)).toContain(`${ids[2]}, which this store was last equal to`);
    expect((await writer.agent.list()).filter(({ isTip }) => isTip)).toHaveLength(1);
  });

  it('in the middle: its copy counts, the snapshot stays, and verify goes on telling', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const { writer, ids } = await fill(remote);
    await remote.remove(['commits/0000000001.json']);
    await remote.put('commits/0000000002.json', textBody('{}'));
    await writer.write({ a: 'four' });
    await writer.agent.backup();
    clock.forward(5 * hour);
    await writer.write({ a: 'five' });
    await writer.agent.backup();
    const bare = await host(remote);
    expect((await bare.agent.list()).map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
    for (const [index, id] of ids.entries()) {
      await bare.agent.restore({ snapshot: id });
      expect(await bare.read()).toEqual(trees[index]);
    }
    const { damagedCommits } = await bare.agent.verify();
    expect(damagedCommits.join()).toContain('commits/0000000001.json');
    expect(damagedCommits.join()).toContain('commits/0000000002.json');
    await bare.agent.repairRemote();
    expect((await bare.agent.verify()).damagedCommits.join()).not.toContain('commits/0000000001.json');
  });

  it('damaged without a copy, and passed over: nothing of it is swept, and repair-remote finds it', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const { ids } = await fill(remote);
    await remote.put('commits/0000000003.json', textBody('{}'));
    await drop(remote, 'history/.commits/');
    const other = await host(remote);
    await other.agent.restore();
    for (const text of ['four', 'five', 'six']) {
      clock.forward(5 * hour);
      await other.write({ a: text });
      await other.agent.backup();
    }
    expect(await keys(remote, `history/${ids[2]}/`)).toHaveLength(3);
    expect((await other.agent.verify()).damagedCommits.join()).toContain('commits/0000000003.json');
    const { snapshots } = await other.agent.repairRemote();
    expect(snapshots.find(({ id }) => id === ids[2])).toMatchObject({ generation: 3, origin: 'files' });
    const listed = await other.agent.list();
    expect(listed.map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
    expect(listed.filter(({ isTip }) => isTip)).toHaveLength(1);
    const bare = await host(remote);
    await bare.agent.restore({ snapshot: ids[2] ?? '' });
    expect(await bare.read()).toEqual(trees[2]);
  });
});

describe('a remote of version 0.1.0', () => {
  const old = async (): Promise<{ remote: Remote; dir: string }> => {
    const dir = unpackFixture(oldRemote);
    const { remote } = await openRemote(`file://${join(dir, 'remote')}`, {
      clock,
      emit: () => undefined,
      fs: nodeFileSystem,
    });
    return { remote, dir };
  };
  const contents = [
    { a: 'one\n', 'sub/b': 'same\n' },
    { a: 'two\n', 'sub/b': 'same\n' },
    { a: 'three\n', 'sub/b': 'same\n', d: 'more\n' },
  ];
  const expectOld = async (remote: Remote): Promise<void> => {
    const bare = await host(remote);
    const listed = await bare.agent.list();
    expect(listed).toHaveLength(3);
    expect(listed.filter(({ isTip }) => isTip)).toHaveLength(1);
    for (const [index, { id }] of listed.entries()) {
      await bare.agent.restore({ snapshot: id });
      expect(await bare.read()).toEqual(contents[index]);
    }
  };

  it('is read and gone on with as before', async () => {
    const { remote, dir } = await old();
    await expectOld(remote);
    const a = await host(remote);
    await a.agent.restore();
    await a.write({ a: 'four' });
    expect(await a.agent.backup()).toMatchObject({ type: 'committed', generation: 4, diverged: [] });
    expect(await keys(remote, 'history/.commits/')).toHaveLength(2);
    await rm(dir, { recursive: true });
  });

  it.each([
    ['from manifest.json and its files', []],
    ['from its files alone', ['manifest.json']],
  ])('is rebuilt %s', async (_, more) => {
    const { remote, dir } = await old();
    for (const prefix of ['commits/', ...more]) await drop(remote, prefix);
    const a = await host(remote);
    await expect(a.agent.list()).rejects.toMatchObject(corrupt);
    await a.agent.repairRemote();
    await expectOld(remote);
    expect(await a.agent.repairRemote()).toMatchObject({ objects: 0 });
    await rm(dir, { recursive: true });
  });
});

it('repair-remote cut off anywhere is finished by the next, whatever was left', async () => {
  for (const lost of [
    ['commits/'],
    ['commits/', 'history/.commits/'],
    ['commits/', 'history/.', 'manifest'],
  ]) {
    const count = await forEachEffect(async (n) => {
      // Several cases run at once: a clock that one of them moves is its own.
      const own = shiftableClock();
      const remote = createMemoryRemote({ now: own.now });
      const { ids } = await fill(remote, { clock: own });
      for (const prefix of lost) await drop(remote, prefix);
      const power = new Power(n, 'before');
      const doomed = await host(poweredRemote(power, remote), { clock: own });
      await doomed.agent.repairRemote().catch((error: unknown) => {
        if (!power.isCut) throw error;
      });
      // Another host goes on in between, and sweeps what no commit names.
      const next = await host(remote, { clock: own });
      await next.agent.prune().catch(() => undefined);
      own.forward(5 * hour);
      await next.agent.prune().catch(() => undefined);
      await next.agent.repairRemote();
      await expectContents(remote, ids, { clock: own });
      return power.isCut;
    });
    expect(count).toBeGreaterThan(3);
  }
}, 120_000);

describe.each(['copy', 'linked'] as const)('objects that are gone, with history %s', (history) => {
  it('of the newest snapshot: a backup of an unchanged store uploads them again', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const { writer, ids } = await fill(remote, { settings: { history } });
    expect((await writer.agent.backup()).type).toBe('unchanged');
    await drop(remote, `history/${ids[2]}/`);
    const result = await writer.agent.backup();
    expect(result).toMatchObject({ type: 'committed', parent: ids[2] });
    expect(result.type === 'committed' && result.lost.length).toBeGreaterThan(0);
    for (const key of ['a', 'b', 'd']) await remote.remove([key]);
    const bare = await host(remote);
    await bare.agent.restore();
    expect(await bare.read()).toEqual(trees[2]);
    expect((await writer.agent.backup()).type).toBe('unchanged');
  });

  it.each<[string, (remote: Remote, key: string) => Promise<unknown>]>([
    ['missing', (remote, key) => remote.remove([key])],
    ['cut', (remote, key) => remote.put(key, textBody('s'))],
  ])('%s: what the next snapshot would refer to is uploaded again, and told', async (_, strike) => {
    const remote = createMemoryRemote({ now: clock.now });
    const { writer, ids } = await fill(remote, { settings: { history } });
    const owner = history === 'linked' ? ids[0] : ids[2];
    const key = `history/${owner}/b`;
    await strike(remote, key);
    await writer.write({ a: 'four' });
    expect(await writer.agent.backup()).toMatchObject({ type: 'committed', lost: [key] });
    expect(warnings(writer)).toContain(key);
    await drop(remote, 'b');
    const bare = await host(remote);
    await bare.agent.restore();
    expect(await bare.read()).toEqual({ ...trees[2], a: 'four' });
    expect((await bare.agent.verify({ readData: true })).snapshots[0]?.problems).toEqual([]);
  });

  it('a restore takes the current files where they are right', async () => {
    const remote = createMemoryRemote({ now: clock.now });
    const { ids } = await fill(remote, { settings: { history } });
    await drop(remote, `history/${ids[2]}/`);
    const bare = await host(remote);
    expect(await bare.agent.restore()).toMatchObject({ type: 'restored', id: ids[2], skipped: [] });
    expect(await bare.read()).toEqual(trees[2]);
    expect(warnings(bare)).toContain('the current file');
  });
});
