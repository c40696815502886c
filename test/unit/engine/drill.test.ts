import { copyFileSync, cpSync, existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assertOwnFiles } from '../../../src/engine/drill/drill-place.ts';
import { damageKinds } from '../../../src/engine/drill/damage-kinds.ts';
import type { DrillOptions } from '../../../src/engine/drill/drill.ts';
import type { DrillReport } from '../../../src/engine/drill/drill-report.ts';
import { locateHome } from '../../../src/home/home.ts';
import { lockDrill } from '../../../src/home/lock.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { readOperations } from '../../../src/home/operations/records.ts';
import { readDrillRecord } from '../../../src/home/records/drill-record.ts';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import type { AgentPorts } from '../../../src/in-process/create-agent.ts';
import { destroyPage, pagesOf } from '../../support/damage-database.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';
import { fastTmp, makeHost, shiftableClock } from '../../support/host.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { passThrough } from '../../support/race.ts';
import { formatCases, loseFile } from '../../support/format-cases.ts';

const root = mkdtempSync(join(fastTmp, 'drill-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A Chroma store with two snapshots of it in a directory. */
const pristine = join(root, 'pristine');
const ids: string[] = [];
beforeAll(async () => {
  const store = unpackFixture('chroma-1-a', join(pristine, 'store'));
  const agent = createAgent({ store, remote: `file://${pristine}/remote` });
  for (const fixture of ['chroma-1-a', 'chroma-1-b'] as const) {
    if (fixture === 'chroma-1-b') unpackFixture(fixture, store);
    const result = await agent.backup();
    if (result.type === 'committed') ids.push(result.id);
  }
  await agent.close();
});

let made = 0;
/** A copy of all of it, as another machine without a store would see the remote. */
function world(): { readonly dir: string; readonly remote: string; readonly store: string } {
  const dir = join(root, String(made++));
  cpSync(join(pristine, 'remote'), join(dir, 'remote'), { recursive: true });
  return { dir, remote: join(dir, 'remote'), store: join(dir, 'store') };
}

async function drillIn(
  { remote, store }: ReturnType<typeof world>,
  options: DrillOptions = {},
  ports: AgentPorts = {},
): Promise<DrillReport> {
  const agent = createAgent({ store, remote: `file://${remote}` }, ports);
  try {
    return await agent.drill({ server: 'off', ...options });
  } finally {
    await agent.close();
  }
}

const homeOf = ({ dir }: ReturnType<typeof world>): string => join(dir, '.store.sync-agent');
const recordOf = async ({ store, remote }: ReturnType<typeof world>) =>
  readDrillRecord(await locateHome(store), `file://${remote}`);
const outcomes = ({ steps }: DrillReport): unknown => steps.map(({ name, outcome }) => [name, outcome]);
const newest = (): string => ids[1] ?? '';

describe('a drill', () => {
  it('passes on a sound snapshot, and leaves remote and host as they were but for its record', async () => {
    const here = world();
    const before = fingerprintOf(here.remote);
    const report = await drillIn(here);
    expect(report).toMatchObject({ type: 'passed', snapshot: newest(), chosen: 'newest', kind: 'chroma', records: 201, problems: [], recovery: null, damage: null }); // prettier-ignore
    expect(outcomes(report)).toEqual([['list', 'passed'], ['restore', 'passed'], ['check', 'passed'], ['server', 'skipped']]); // prettier-ignore
    expect(report.server).toMatchObject({ state: 'none', why: 'it is turned off' });
    expect(fingerprintOf(here.remote)).toEqual(before);
    expect(existsSync(here.store)).toBe(false);
    expect(readdirSync(homeOf(here)).toSorted()).toEqual([
      'drill-lock',
      'drill-lock.json',
      expect.stringMatching(/^drills-[0-9a-f]{16}\.json$/),
      'operations',
    ]);
    const logged = await readOperations(await locateHome(here.store));
    expect(logged).toMatchObject([{ operation: 'drill', outcome: 'passed', snapshot: newest() }]);
  });

  it('takes an older one that is named', async () => {
    const report = await drillIn(world(), { snapshot: '~1' });
    expect(report).toMatchObject({ type: 'passed', snapshot: ids[0], chosen: 'named' });
  });

  it('takes turns between the newest and the one drilled longest ago, and remembers them', async () => {
    const here = world();
    const order: unknown[] = [];
    for (let i = 0; i < 3; i += 1) {
      const { snapshot, chosen } = await drillIn(here, { sample: true });
      order.push([snapshot, chosen]);
    }
    const [older] = ids;
    expect(order).toEqual([[newest(), 'newest'], [older, 'least-recent'], [newest(), 'newest']]); // prettier-ignore
    const record = await recordOf(here);
    expect(Object.keys(record?.drilled ?? {}).toSorted()).toEqual(ids.toSorted());
    expect(record?.last).toMatchObject({
      passed: true,
      snapshot: newest(),
      chosen: 'newest',
      server: 'none',
    });
  });

  it('without a snapshot is NOT_FOUND', async () => {
    const here = world();
    rmSync(here.remote, { recursive: true });
    mkdirSync(here.remote);
    await expect(drillIn(here)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('of a sampled one that another host rotates away meanwhile takes another one', async () => {
    const clock = shiftableClock();
    const remote = createMemoryRemote({ now: clock.now });
    const settings = { keepLast: 2, graceMs: 3_600_000 };
    const host = await makeHost({ remote, clock, settings });
    const backUp = async (text: string): Promise<void> => {
      await host.write({ a: text });
      await host.agent.backup();
      clock.forward(2 * 3_600_000);
    };
    await backUp('1');
    await backUp('2');
    let isDue = false;
    const looking = await makeHost({
      clock,
      settings,
      remote: {
        ...passThrough(remote),
        get: async (key, options) => {
          if (isDue && key.startsWith('history/2')) {
            isDue = false;
            await backUp('3');
          }
          return remote.get(key, options);
        },
      },
    });
    const older = (await host.agent.list())[0]?.id;
    await looking.agent.drill({ sample: true });
    isDue = true;
    const report = await looking.agent.drill({ sample: true });
    expect(report).toMatchObject({ type: 'passed', chosen: 'least-recent' });
    expect(report.snapshot).not.toBe(older);
    for (const each of [host, looking]) await each.remove();
  });

  it('counts no records where this host leaves files out that the snapshot has', async () => {
    const remote = createMemoryRemote({ now: Date.now });
    const host = await makeHost({ remote });
    await host.write({ a: 'one', 'b.log': 'two' });
    await host.agent.backup();
    const other = await makeHost({ remote, root: host.root, settings: { exclude: ['*.log'] } });
    expect(await other.agent.drill()).toMatchObject({ type: 'passed' });
    await host.remove();
  });

  it('refuses to work on a file that is a link, or that has a second name', async () => {
    const own = join(root, 'own');
    mkdirSync(join(own, 'folder'), { recursive: true });
    writeFileSync(join(own, 'folder', 'a'), 'x');
    await assertOwnFiles(own);
    symlinkSync(join(root, 'elsewhere'), join(own, 'folder', 'link'));
    await expect(assertOwnFiles(own)).rejects.toMatchObject({ code: 'INTERNAL' });
    rmSync(join(own, 'folder', 'link'));
    linkSync(join(own, 'folder', 'a'), join(root, 'second'));
    await expect(assertOwnFiles(own)).rejects.toMatchObject({ code: 'INTERNAL' });
    const here = world();
    const fs: FileSystem = {
      ...nodeFileSystem,
      rename: async (from, to) => {
        await nodeFileSystem.rename(from, to);
        if (to.endsWith('/restored')) linkSync(join(to, 'chroma.sqlite3'), join(here.dir, 'second'));
      },
    };
    await expect(drillIn(here, {}, { fs })).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('needs room for twice the snapshot', async () => {
    const here = world();
    const { bytes } = await drillIn(here);
    const diskSpace = async () => ({ freeBytes: 2 * bytes + 16 * 1024 * 1024 - 1, totalBytes: 1e12 });
    await expect(drillIn(here, {}, { diskSpace })).rejects.toMatchObject({ code: 'DISK_FULL' });
    const room = async () => ({ freeBytes: 2 * bytes + 16 * 1024 * 1024, totalBytes: 1e12 });
    expect(await drillIn(here, {}, { diskSpace: room })).toMatchObject({ type: 'passed' });
    expect(existsSync(join(homeOf(here), 'drill'))).toBe(false);
  });

  it('is one at a time', async () => {
    const here = world();
    const lock = await lockDrill(nodeFileSystem, await locateHome(here.store));
    const refused = await drillIn(here).catch((error: unknown) => error);
    lock.release();
    expect(refused).toMatchObject({ code: 'BUSY' });
    expect(String(refused)).toContain('sync-agent drill (pid');
  });

  it('removes what a killed one left, before it needs room itself', async () => {
    const here = world();
    const left = join(homeOf(here), 'drill', 'left');
    mkdirSync(left, { recursive: true });
    const there: boolean[] = [];
    const diskSpace = async () => {
      there.push(existsSync(left));
      return { freeBytes: 1e12, totalBytes: 1e12 };
    };
    expect(await drillIn(here, {}, { diskSpace })).toMatchObject({ type: 'passed' });
    expect(there).not.toContain(true);
    expect(existsSync(join(homeOf(here), 'drill'))).toBe(false);
  });

  it('that is aborted cleans up', async () => {
    const here = world();
    const aborter = new AbortController();
    const agent = createAgent(
      { store: here.store, remote: `file://${here.remote}` },
      { emit: ({ type }) => type === 'progress' && aborter.abort() },
    );
    await expect(agent.drill({ server: 'off', signal: aborter.signal })).rejects.toMatchObject({ code: 'INTERRUPTED' }); // prettier-ignore
    expect(readdirSync(homeOf(here))).not.toContain('drill');
    expect(await recordOf(here)).toBeUndefined();
  });

  it('finds the record counts of a manifest wrong', async () => {
    const here = world();
    const agent = createAgent({ store: join(pristine, 'store'), remote: `file://${here.remote}` });
    const shown = await agent.show('latest');
    await agent.close();
    expect(shown.statistics.records).toBe(201);
    // Nobody but a defect of a backup makes such a commit, so it is written with a right checksum.
    const { encodeManifest } = await import('../../../src/log/manifest-text.ts');
    const commit = `${here.remote}/commits/${String(shown.generation).padStart(10, '0')}.json`;
    const { pin: _, ...manifest } = { ...shown, statistics: { ...shown.statistics, records: 200 } };
    const { log } = JSON.parse(readFileSync(commit, 'utf8')) as { log: typeof shown.log };
    rmSync(commit);
    writeFileSync(commit, encodeManifest({ ...manifest, log }));
    const report = await drillIn(here);
    expect(report.problems).toEqual([{ foundBy: 'check', message: 'the manifest counts 200 records, and the files have 201' }]); // prettier-ignore
  });
});

/** Replaces a file: a directory remote has one file under several names. */
function rewrite(path: string, change: (copy: string) => void): void {
  copyFileSync(path, `${path}.new`);
  change(`${path}.new`);
  renameSync(`${path}.new`, path);
}
const flip = (path: string): void =>
  rewrite(path, (copy) => {
    const bytes = readFileSync(copy);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(copy, bytes);
  });

interface Planted {
  readonly remote: string;
  /** The object in the history of the newest snapshot. */
  readonly object: (path: string) => string;
  readonly folder: string;
}

const everyPlace: Record<string, (planted: Planted) => void> = {
  'an object is missing': ({ object }) => rmSync(object('chroma.sqlite3')),
  'an object is truncated': ({ object }) =>
    rewrite(object('chroma.sqlite3'), (copy) => truncateSync(copy, 5000)),
  'one bit of an object is flipped': ({ object }) => flip(object('chroma.sqlite3')),
  'two objects are swapped': ({ object, folder }) => {
    const [a, b] = [object(`${folder}/length.bin`), object(`${folder}/header.bin`)];
    renameSync(a, `${a}.other`);
    renameSync(b, a);
    renameSync(`${a}.other`, b);
  },
  'the database lost its header': ({ object }) =>
    rewrite(object('chroma.sqlite3'), (copy) => {
      const bytes = readFileSync(copy);
      writeFileSync(copy, bytes.fill(0, 0, 100));
    }),
  'a page of a table is junk': ({ object }) =>
    rewrite(object('chroma.sqlite3'), (copy) => destroyPage(copy, 'embeddings')),
  'a page of an index is junk': ({ object }) =>
    rewrite(object('chroma.sqlite3'), (copy) => destroyPage(copy, 'embedding_metadata_string_value')),
  'a page of the full-text index is junk': ({ object }) =>
    rewrite(object('chroma.sqlite3'), (copy) => destroyPage(copy, 'embedding_fulltext_search_data')),
  'a file of an index is truncated': ({ object, folder }) =>
    rewrite(object(`${folder}/data_level0.bin`), (copy) => truncateSync(copy, statSync(copy).size - 1)),
  'the pickle of an index is gone': ({ object, folder }) => rmSync(object(`${folder}/index_metadata.pickle`)),
  'the folder of an index is gone': ({ object, folder }) => rmSync(object(folder), { recursive: true }),
  'a commit is damaged': ({ remote }) => flip(`${remote}/commits/0000000002.json`),
  'an older commit is damaged': ({ remote }) => flip(`${remote}/commits/0000000001.json`),
  'a commit is missing': ({ remote }) => rmSync(`${remote}/commits/0000000001.json`),
  'the copy of a commit is damaged': ({ remote }) => flip(`${remote}/history/.commits/0000000002.json`),
  'manifest.json is damaged': ({ remote }) => flip(`${remote}/manifest.json`),
};

describe('damage that somebody planted in a remote is found', () => {
  const plant = (here: ReturnType<typeof world>, kind: string, alsoCurrent: boolean): void => {
    const history = join(here.remote, 'history', newest());
    const folder = readdirSync(history).find((name) => name.startsWith('5c075afb')) ?? '';
    const damage = everyPlace[kind];
    damage?.({ remote: here.remote, folder, object: (path) => join(history, path) });
    if (alsoCurrent)
      for (const path of ['chroma.sqlite3', folder])
        rmSync(join(here.remote, path), { recursive: true, force: true });
  };
  it.each(Object.keys(everyPlace))('%s: the restore does without it', async (kind) => {
    const here = world();
    plant(here, kind, false);
    const report = await drillIn(here);
    expect(report.type).toBe('failed');
    expect(report.problems.length).toBeGreaterThan(0);
    expect(report.recovery).toMatchObject({ type: 'same-snapshot', works: true, snapshot: newest() });
    const { last, passedAtMs } = (await recordOf(here)) ?? {};
    expect(last).toMatchObject({ passed: false, problems: report.problems.map(({ message }) => message) });
    expect(passedAtMs).toBeNull();
  });

  it.each(['an object is missing', 'a file of an index is truncated'])(
    '%s, and so is the current file: the restore goes back to the snapshot before, which is tried',
    async (kind) => {
      const here = world();
      plant(here, kind, true);
      const report = await drillIn(here);
      expect(report.type).toBe('failed');
      expect(report.problems.map(({ foundBy }) => foundBy)).toContain('restore');
      expect(report.recovery).toMatchObject({ type: 'older-snapshot', works: true, snapshot: ids[0] });
    },
  );

  it('and if no snapshot passes, it says so', async () => {
    const here = world();
    plant(here, 'an object is missing', true);
    rmSync(join(here.remote, 'history', ids[0] ?? '', 'chroma.sqlite3'));
    expect((await drillIn(here)).recovery).toMatchObject({ type: 'none', works: false });
  });

  it('also a list of snapshots that is lost', async () => {
    const here = world();
    rmSync(join(here.remote, 'commits'), { recursive: true });
    const report = await drillIn(here);
    expect(report).toMatchObject({ type: 'failed', snapshot: null, recovery: { type: 'none' } });
    expect(report.problems[0]?.message).toContain('it holds no commit');
  });

  it('also the newest commit that is lost', async () => {
    const here = world();
    rmSync(join(here.remote, 'commits', '0000000002.json'));
    const report = await drillIn(here);
    expect(report).toMatchObject({ type: 'failed', snapshot: ids[0] });
    expect(report.problems[0]?.message).toContain('its newest commits are gone');
  });

  it.each(formatCases)('in %s content, too', async (_, { formats }) => {
    const remote = createMemoryRemote({ now: Date.now });
    const host = await makeHost({ remote, formats });
    await host.write({ a: 'one', b: 'two' });
    await host.agent.backup();
    expect(await host.agent.drill()).toMatchObject({ type: 'passed', kind: 'files', records: 2 });
    await loseFile(remote, formats, { snapshot: await host.agent.show('latest'), path: 'a' });
    expect(await host.agent.drill()).toMatchObject({ type: 'failed', recovery: { type: 'none' } });
    await host.remove();
  });
});

describe('a drill that damages its own copy', () => {
  const recoveries: Partial<Record<(typeof damageKinds)[number], string>> = {
    'object-missing': 'same-snapshot',
    'commit-damaged': 'same-snapshot',
    'full-text': 'repair',
    'links-zeroed': 'repair',
    'database-header': 'restore',
    'table-page': 'restore',
  };

  it.each(damageKinds)('%s: finds it, recovers from it, and touches nothing else', async (kind) => {
    const here = world();
    cpSync(join(pristine, 'store'), here.store, { recursive: true, preserveTimestamps: true });
    const before = [fingerprintOf(here.remote), fingerprintOf(here.store)];
    const report = await drillIn(here, { damage: kind });
    expect(report).toMatchObject({ type: 'passed', damage: { kind }, recovery: { works: true } });
    expect(report.problems.length).toBeGreaterThan(0);
    if (kind in recoveries) expect(report.recovery?.type).toBe(recoveries[kind]);
    expect([fingerprintOf(here.remote), fingerprintOf(here.store)]).toEqual(before);
    expect(readdirSync(homeOf(here)).toSorted()).toEqual(['drill-lock', 'drill-lock.json']);
  });

  it('fails if the snapshot was damaged before', async () => {
    const here = world();
    rmSync(join(here.remote, 'history', newest(), 'chroma.sqlite3'));
    expect(await drillIn(here, { damage: 'full-text' })).toMatchObject({ type: 'failed', damage: null });
  });

  it('of a kind that the store does not have is USAGE', async () => {
    const host = await makeHost({ remote: createMemoryRemote({ now: Date.now }) });
    await host.write({ a: 'one' });
    await host.agent.backup();
    await expect(host.agent.drill({ damage: 'table-page' })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(host.agent.drill({ damage: 'objects-swapped' })).rejects.toMatchObject({ code: 'USAGE' });
    await host.remove();
  });
});

it('the pages that the tests destroy are there', () => {
  expect(pagesOf(join(pristine, 'store', 'chroma.sqlite3'), 'embedding_metadata_string_value')).not.toEqual(
    [],
  );
});
