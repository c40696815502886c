import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/settings/resolve-config.ts';
import { isSyncAgentError } from '../../../src/platform/errors.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { operationsRoot } from '../../../src/home/operations/segments.ts';
import { journalPath, locateHome, rollbackRoot, stagingRoot, statePath } from '../../../src/home/home.ts';
import type { Home } from '../../../src/home/home.ts';
import { readJournal } from '../../../src/home/journal.ts';
import { readState } from '../../../src/home/state.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let root = '';
let remote: Remote;
let host: Host;
let home: Home;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hostile-state-'));
  remote = createMemoryRemote({ now: Date.now });
  host = await makeHost({ remote, root });
  await host.write({ a: 'mine' });
  home = await locateHome(host.store);
  await mkdir(home.dir, { recursive: true, mode: 0o700 });
  await mkdir(join(root, 'foreign'));
  await writeFile(join(root, 'foreign/2026-01-01T00-00-00.000Z-00000000'), 'precious');
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** What an attacker, or a bug, may have left: text, or any value as JSON. */
const corpus: readonly unknown[] = [
  '',
  'not json',
  '{"format":1',
  null,
  1,
  [],
  {},
  { format: '1' },
  { format: 1 },
  { format: 1, identity: 'x', remotes: [] },
  { format: 1, identity: 'x', remotes: { 'memory:': null } },
  { format: 1, identity: 'x', remotes: { 'memory:': { parent: { id: '../..', generation: 1 } } } },
  { format: 1, identity: ['x'], remotes: {} },
  { format: -1 },
  { format: 0.5 },
  '{"__proto__": {"polluted": true}, "format": 1, "identity": "", "remotes": {"__proto__": {"polluted": true}}}',
  `{"format":1,"identity":"x","remotes":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  `{"format":1,"identity":"${'x'.repeat(1e6)}","remotes":{}}`,
  '\0'.repeat(4096),
  '\uFEFF{"format":1}',
];
const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
const named = corpus.map((value) => [textOf(value).slice(0, 60), textOf(value)] as const);

describe('a state file that is not ours', () => {
  it.each(named)('costs a comparison by content, never data: %j', async (_, text) => {
    await host.agent.backup();
    await writeFile(statePath(home), text);
    expect((await host.agent.backup()).type).toBe('unchanged');
    await host.write({ a: 'changed' });
    await writeFile(statePath(home), text);
    expect((await host.agent.restore()).type).toBe('diverged');
    expect(await host.read()).toEqual({ a: 'changed' });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('that a newer version wrote stops everything that would act on it, and says so', async () => {
    await writeFile(statePath(home), '{"format": 2}');
    for (const run of [() => host.agent.backup(), () => host.agent.restore(), () => host.agent.status()]) {
      await expect(run()).rejects.toMatchObject({
        code: 'TOO_NEW',
        message: expect.stringContaining('newer version') as string,
      });
    }
  });

  it('whatever JSON it is, is read as nothing or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), async (text) => {
        await writeFile(statePath(home), text);
        const state = await readState(home).catch((error: unknown) => {
          if (!isSyncAgentError(error, 'TOO_NEW')) throw error;
        });
        expect(state).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });

  it('whose remotes are named like members of every object is not taken for knowledge', async () => {
    const remotes = '{"__proto__": {"parent": null}, "constructor": {"parent": null}}';
    await writeFile(statePath(home), `{"format":1,"identity":"x","remotes":${remotes}}`);
    expect(await readState(home)).toBeUndefined();
    const good = '{"parent":null,"fingerprint":null,"pending":null,"createOnly":null,"settled":[]}';
    await writeFile(statePath(home), `{"format":1,"identity":"x","remotes":{"__proto__":${good}}}`);
    const state = await readState(home);
    expect(Object.getPrototypeOf(state?.remotes)).toBe(Object.prototype);
    expect(state?.remotes['memory:']).toBeUndefined();
  });
});

const swapJournal = {
  format: 1,
  type: 'swap',
  from: { type: 'staging', name: 'attempt' },
  rollback: '2026-01-01T00-00-00.000Z-00000000',
  keepRollback: true,
  entries: 1,
  placement: '',
  location: 'memory:',
  parent: null,
  settled: [],
};
const elsewhere = [
  '..',
  '../..',
  '../../foreign',
  '/',
  '/etc',
  '.',
  '',
  'a/b',
  'a\\b',
  '..\\..',
  'C:',
  'a\0b',
  '-rf /',
  'x'.repeat(300),
  '\u202e',
  '__proto__',
];
const forgedJournals: readonly (readonly [string, unknown])[] = [
  ...elsewhere.flatMap((name) => [
    [`swap from ${name}`, { ...swapJournal, from: { type: 'staging', name } }] as const,
    [`swap from rollback copy ${name}`, { ...swapJournal, from: { type: 'rollback', name } }] as const,
    [`swap to ${name}`, { ...swapJournal, rollback: name }] as const,
    [
      `replacement with snapshot ${name}`,
      { format: 1, type: 'replace', attempt: 'x', location: 'memory:', snapshot: name },
    ] as const,
  ]),
  ['swap from nowhere known', { ...swapJournal, from: { type: 'foreign', name: 'x' } }],
  ['negative entries', { ...swapJournal, entries: -1 }],
  ['no type', { format: 1 }],
  ['another type', { ...swapJournal, type: 'delete', path: '/' }],
  ...named.map(([name, text]) => [name, text] as const),
];

describe('a journal that is not ours', () => {
  it.each(forgedJournals)('stops the agent before it touches anything: %s', async (_, journal) => {
    const text = textOf(journal);
    await writeFile(journalPath(home), text);
    const before = await snapshotOf(root);
    await expect(readJournal(home)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    for (const run of [() => host.agent.backup(), () => host.agent.restore({ force: true })]) {
      await expect(run()).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
        message: expect.stringContaining(journalPath(home)) as string,
      });
    }
    // The operation log tells of both.
    await rm(operationsRoot(home), { recursive: true });
    expect(await snapshotOf(root)).toEqual(before);
  });

  it('that a newer version wrote says so', async () => {
    await writeFile(journalPath(home), '{"format": 2, "type": "merge"}');
    await expect(host.agent.restore()).rejects.toMatchObject({ code: 'TOO_NEW' });
    expect(await host.read()).toEqual({ a: 'mine' });
  });

  it('that names staging and copies which do not exist loses nothing', async () => {
    for (const from of ['staging', 'rollback'] as const) {
      await writeFile(
        journalPath(home),
        JSON.stringify({ ...swapJournal, from: { type: from, name: 'x' }, entries: 0 }),
      );
      await host.agent.backup().catch((error: unknown) => {
        if (!isSyncAgentError(error)) throw error;
      });
      expect(Object.values((await snapshotOf(root)) ?? {})).toContain('mine');
      expect(Object.values((await snapshotOf(root)) ?? {})).toContain('precious');
    }
  });
});

describe('the agent’s own directory', () => {
  const links: readonly (readonly [string, (at: Home) => string])[] = [
    ['itself', (at) => at.dir],
    ['its staging', stagingRoot],
    ['its rollback copies', rollbackRoot],
  ];
  it.each(links)('is not followed where %s is a symbolic link to a foreign one', async (_, place) => {
    await host.agent.backup();
    await rm(place(home), { recursive: true, force: true });
    await mkdir(dirname(place(home)), { recursive: true });
    await symlink(join(root, 'foreign'), place(home));
    for (const run of [() => host.agent.backup({ force: true }), () => host.agent.restore({ force: true })])
      await expect(run()).rejects.toMatchObject({ code: 'REFUSED' });
    expect(await readdir(join(root, 'foreign'))).toEqual(['2026-01-01T00-00-00.000Z-00000000']);
  });

  it('is written by replacement: a link in the place of a file of its own is never written through', async () => {
    await host.agent.backup();
    for (const name of ['state.json', 'lock.json']) {
      await rm(join(home.dir, name));
      await symlink(join(root, 'foreign/2026-01-01T00-00-00.000Z-00000000'), join(home.dir, name));
      await symlink(join(root, 'foreign/2026-01-01T00-00-00.000Z-00000000'), join(home.dir, `${name}.tmp`));
    }
    await host.agent.backup({ force: true });
    expect(await readFile(join(root, 'foreign/2026-01-01T00-00-00.000Z-00000000'), 'utf8')).toBe('precious');
  });
});

describe('a rollback', () => {
  it.each(elsewhere)('takes no name that is not one of the copies: %j', async (name) => {
    await expect(host.agent.rollBack(name, { force: true })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await host.read()).toEqual({ a: 'mine' });
  });
});

describe('a config file that is hostile', () => {
  const texts = [
    '',
    'null',
    '[]',
    '{"constructor": {"prototype": {"store": "/etc"}}}',
    '{"store": ["/etc"]}',
    '{"store": {"toString": "x"}}',
    '{"remote": 1}',
    '{"keep": -1}',
    '{"keep": 1e309}',
    '{"maxShrink": "NaN"}',
    '{"unknown": true}',
  ];
  it.each(texts.map((text) => [text.slice(0, 60), text] as const))(
    'is a usage error that names it, or sets nothing: %s',
    async (_, text) => {
      await writeFile(join(root, 'sync-agent.config.json'), text);
      const config = await resolveConfig({ flags: {}, env: {}, cwd: root }).catch((error: unknown) => {
        if (!isSyncAgentError(error, 'USAGE')) throw error;
        expect(error.message).toContain('sync-agent.config.json');
      });
      expect(config?.store ?? join(root, 'chroma')).toBe(join(root, 'chroma'));
      expect(({} as Record<string, unknown>)['store']).toBeUndefined();
    },
  );
});

/** Every path below `dir` with its text, but for the lock, which each run takes. */
async function snapshotOf(dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (/\/lock(\.json)?$/.test(path)) continue;
    found[path] = entry.isFile() ? await readFile(path, 'utf8') : '';
  }
  return found;
}
