import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isSyncAgentError } from '../../../src/platform/errors.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { prefixed } from '../../../src/remotes/wrappers/prefixed-remote.ts';
import { commitKey, pathProblem } from '../../../src/log/layout.ts';
import { historyKey } from '../../../src/formats/plain/keys.ts';
import { decodeManifest } from '../../../src/log/manifest-text.ts';
import type { Manifest } from '../../../src/log/manifest.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const decode = (text: string, key: string): Manifest => decodeManifest(text, key, [1]);

const id = '2026-01-01T00-00-00.000Z-00000001';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** JSON with a checksum that is right: the attacker knows the format. */
function forge(members: Record<string, unknown>): string {
  const stringify = (value: object): string => `${JSON.stringify(value, null, 1)}\n`;
  return stringify({ ...members, checksum: sha256(stringify(members)) });
}

function honest(
  files: readonly object[] = [],
  others: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    format: 1,
    id,
    generation: 1,
    parent: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    uploadId: '0'.repeat(32),
    host: 'mallory',
    agent: 'sync-agent/0',
    adapter: 'files',
    files,
    emptyDirectories: [],
    statistics: { records: 1 },
    stall: { heldMs: 0, longestHoldMs: 0 },
    log: [],
    resolved: [],
    ...others,
  };
}

const file = (path: unknown, others: object = {}) => ({
  path,
  size: 4,
  sha256: sha256('evil'),
  mode: 0o600,
  mtimeMs: 0,
  ...others,
});

/** Every way that we know of to name something outside. */
const foreignPaths = [
  '..',
  '../evil',
  'a/../../evil',
  'a/b/../../../evil',
  './../evil',
  '..\\evil',
  'a\\..\\..\\evil',
  'a/..\\evil',
  '/evil',
  '//evil',
  '/../evil',
  '\\evil',
  '\\\\server\\share\\evil',
  'C:\\evil',
  'c:/evil',
  'a//evil',
  'a/./evil',
  './evil',
  '.',
  'a/',
  '/',
  '',
  'evil\0',
  'a\0/../evil',
  '\uD800evil',
  'evil\uFFFD',
  'history/x',
  'commits/0000000001.json',
  'manifest.json',
  '.sync-agent/state.json',
  '.sync-agent',
  '.sync-agent.tmp/x',
  'x'.repeat(1025),
  'x/'.repeat(600) + 'y',
];

/** Odd, and harmless: names that a file system can hold below a directory. */
const oddPaths = [
  '...',
  '..a',
  'a..',
  'a/...',
  ' ',
  'a b',
  '-rf',
  '~',
  '$(reboot)',
  '`id`',
  '%2e%2e',
  '%2e%2e%2fevil',
  '\n',
  '\r\n',
  '\u001b[31mred',
  '"\'',
  '*',
  '?',
  'é',
  'e\u0301',
  '\u202Egnp.exe',
  '\u{1F600}',
  'con',
  'nul.txt',
  '__proto__',
  'constructor',
  'CHROMA.sqlite3',
  'a:b',
  'x'.repeat(255),
];

describe('a path in a manifest', () => {
  it.each(foreignPaths)('is refused if it leads out of the store or to our own files: %j', (path) => {
    for (const members of [
      honest([file(path)]),
      honest([], { emptyDirectories: [path] }),
      honest([], { directories: [{ path, mode: 0o700 }] }),
    ]) {
      expect(() => decode(forge(members), 'key')).toThrow(
        expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }),
      );
    }
  });

  it.each(oddPaths)('is accepted if it is only odd: %j', (path) => {
    expect(decode(forge(honest([file(path)])), 'key').files[0]?.path).toBe(path);
  });

  it('never leads out of the directory it is joined to, if it is accepted', () => {
    const nasty = fc.array(
      fc.oneof(
        fc.constantFrom('..', '.', '', '/', '\\', '\0', 'C:', '~', 'a', '\uFFFD', '\uD800', '%2e', '\u2025'),
        fc.string({ unit: 'binary', maxLength: 3 }),
      ),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(nasty, fc.constantFrom('/', '\\', ''), (parts, separator) => {
        const path = parts.join(separator);
        if (pathProblem(path) !== undefined) return;
        expect(join('/store', path)).toBe(`/store/${path}`);
        expect(path.split(/[\\/]/)).not.toContain('..');
      }),
      { numRuns: 3000 },
    );
  });
});

const hostileTexts: Record<string, string | (() => string)> = {
  nothing: '',
  'no JSON': 'not json',
  'half of it': forge(honest()).slice(0, 200),
  null: 'null',
  'a number': '1',
  'a string': '"format"',
  'an array': '[]',
  'an empty object': '{}',
  'another program’s JSON': '{"format":1,"files":[]}',
  'no checksum': JSON.stringify(honest()),
  'a checksum of another type': JSON.stringify({ ...honest(), checksum: { toString: 'x' } }),
  'format as text': forge(honest([], { format: '1' })),
  'format zero': forge(honest([], { format: 0 })),
  'a fractional format': forge(honest([], { format: 1.5 })),
  'files as an object': forge(honest([], { files: { length: 1, 0: file('a') } })),
  'a path that is a number': forge(honest([file(1)])),
  'a path that is an array': forge(honest([file(['..', 'evil'])])),
  'a negative size': forge(honest([file('a', { size: -1 })])),
  'a fractional size': forge(honest([file('a', { size: 0.5 })])),
  'a size beyond counting': forge(honest([file('a', { size: 2 ** 60 })])),
  'a size as text': forge(honest([file('a', { size: '4' })])),
  'a set-uid mode': forge(honest([file('a', { mode: 0o4755 })])),
  'a short hash': forge(honest([file('a', { sha256: 'abc' })])),
  'an upper-case hash': forge(honest([file('a', { sha256: 'A'.repeat(64) })])),
  'bytes in a foreign directory': forge(honest([file('a', { in: '../../other' })])),
  'bytes in no snapshot': forge(honest([file('a', { in: 'photos' })])),
  'an id with a path in it': forge(honest([], { id: '../2026-01-01T00-00-00.000Z-00000001' })),
  'a parent that is no id': forge(honest([], { parent: 'x' })),
  'generation zero': forge(honest([], { generation: 0 })),
  'a date that is none': forge(honest([], { createdAt: 'yesterday' })),
  'a kind of store that is none': forge(honest([], { adapter: '__proto__' })),
  'the same path twice': forge(honest([file('a'), file('a')])),
  'a file that is a directory, too': forge(honest([file('a'), file('a/b')])),
  'a file that is an empty directory, too': forge(honest([file('a')], { emptyDirectories: ['a'] })),
  'a directory below a file': forge(honest([file('a')], { emptyDirectories: ['a/b'] })),
  'directories as an object': forge(
    honest([], { directories: { length: 1, 0: { path: 'a', mode: 0o700 } } }),
  ),
  'a directory with a sticky bit': forge(honest([], { directories: [{ path: 'a', mode: 0o1777 }] })),
  'a store with a set-gid mode': forge(honest([], { mode: 0o2755 })),
  'a first commit at no time': forge(honest([], { committedAt: 'now' })),
  'a log with a first commit at no time': forge(
    honest([], { generation: 9, log: [{ ...entry(2), committedAt: 1 }] }),
  ),
  'a log that names itself': forge(honest([], { generation: 2, log: [entry(2)] })),
  'a log out of order': forge(honest([], { generation: 9, log: [entry(3), entry(2)] })),
  'a log that is endless text': forge(honest([], { log: 'x'.repeat(1e6) })),
  'a host of a megabyte': forge(honest([], { host: 'x'.repeat(1e6) })),
  'pins as an object': forge(honest([], { pins: { length: 1, 0: pin() } })),
  'null for pins': forge(honest([], { pins: null })),
  'a pin of a path': forge(honest([], { pins: [pin({ id: '../../other' })] })),
  'a pin without a reason': forge(honest([], { pins: [pin({ reason: undefined })] })),
  'a pin with a reason of a megabyte': forge(honest([], { pins: [pin({ reason: 'x'.repeat(1e6) })] })),
  'a pin at no time': forge(honest([], { pins: [pin({ at: 'now' })] })),
  'a pin from a host of a megabyte': forge(honest([], { pins: [pin({ host: 'x'.repeat(1e6) })] })),
  'members nested deeper than the stack': () =>
    forge(honest()).replace('"format"', `"deep": ${'['.repeat(200_000)}${']'.repeat(200_000)}, "format"`),
  'files nested deeper than the stack': () =>
    `{"format":1,"files":${'['.repeat(200_000)}${']'.repeat(200_000)}}`,
};

describe('an invalid manifest', () => {
  it.each(Object.keys(hostileTexts))('is refused, naming the object: %s', (name) => {
    const text = hostileTexts[name];
    expect(() => decode(typeof text === 'function' ? text() : (text ?? ''), 'the-key')).toThrow(
      expect.objectContaining({
        code: 'SNAPSHOT_CORRUPT',
        message: expect.stringContaining('"the-key"') as string,
      }),
    );
  });

  it('is accepted with any pins: none, odd ones, or several of one snapshot', () => {
    for (const pins of [[], [pin()], [pin(), pin({ reason: '\u001b[31m\r\n\u202E\uD800' })]]) {
      expect(decode(forge(honest([], { pins })), 'key').pins).toEqual(pins);
    }
    expect(decode(forge(honest()), 'key').pins).toBeUndefined();
  });

  it('is not mistaken for one of a newer version', () => {
    const said = forge(honest());
    for (const newer of [
      forge({ format: 2, whatever: true }),
      ...[2, 10, 99].map((n) => said.replace('"format": 1', `"format": ${n}`)),
    ]) {
      expect(() => decode(newer, 'key')).toThrow(
        expect.objectContaining({
          code: 'TOO_NEW',
          message: expect.stringContaining('newer version') as string,
        }),
      );
    }
  });

  it('is refused whatever JSON it is', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(() => decode(text, 'key')).toThrow(expect.objectContaining({ name: 'SyncAgentError' }));
      }),
      { numRuns: 500 },
    );
  });

  it('with one member of another type is refused, or read as before', () => {
    const members = honest([file('a')]);
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(members)), fc.jsonValue(), (key, value) => {
        try {
          decode(forge({ ...members, [key]: value }), 'key');
        } catch (error) {
          if (!isSyncAgentError(error)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('changes no prototype', () => {
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      const text = forge(honest()).replace('"format"', `"${key}": {"polluted": true}, "format"`);
      try {
        decode(text, 'key');
      } catch (error) {
        if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
      }
    }
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('is refused in a moment, even when its paths are long and many', () => {
    const long = honest([file('x/'.repeat(200_000) + 'y')]);
    const many = honest(
      Array.from({ length: 20_000 }, (_, n) => file(`d${n % 100}/${'y/'.repeat(100)}${n}`)),
    );
    // CPU time: the machine may have other work.
    const started = process.cpuUsage();
    expect(() => decode(forge(long), 'key')).toThrow('longer than 1024 bytes');
    expect(decode(forge(many), 'key').files).toHaveLength(20_000);
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(10);
  }, 120_000);
});

describe('a restore from a hostile remote', () => {
  let root = '';
  let remote: Remote;
  let host: Host;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'hostile-manifest-'));
    remote = createMemoryRemote({ now: Date.now });
    host = await makeHost({ remote, root });
    await writeFile(join(root, 'secret'), 'mine');
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it.each(foreignPaths)('writes nothing outside, and nothing inside: %j', async (path) => {
    await publish([file(path)]);
    await putObject(path);
    await expect(host.agent.restore()).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
    expect((await readdir(root)).filter((name) => !name.startsWith('.store'))).toEqual(['secret']);
    expect(await readFile(join(root, 'secret'), 'utf8')).toBe('mine');
  });

  it('refuses bytes that differ from the manifest: longer, shorter or others', async () => {
    for (const text of ['evil!', 'evi', 'good', '']) {
      await publish([file('a')]);
      await remote.put(historyKey(id, 'a'), textBody(text));
      await expect(host.agent.restore()).rejects.toMatchObject({
        code: 'SNAPSHOT_CORRUPT',
        message: expect.stringContaining('history/') as string,
      });
      expect(await host.read()).toBeUndefined();
    }
  });

  it('stops before a false size fills the disk', async () => {
    await publish([file('a', { size: 2 ** 50 })]);
    await putObject('a');
    await expect(host.agent.restore()).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(await host.read()).toBeUndefined();
  });

  it('restores every odd name exactly', async () => {
    await publish(oddPaths.map((path) => file(path)));
    for (const path of oddPaths) await putObject(path);
    await host.agent.restore();
    const found = await readdir(host.store, { recursive: true });
    expect(found.filter((path) => path !== 'a').toSorted()).toEqual(oddPaths.toSorted());
    for (const path of oddPaths) expect(await readFile(join(host.store, path), 'utf8')).toBe('evil');
    expect(await host.agent.backup()).toMatchObject({ type: 'unchanged' });
  });

  it('takes a commit under another number for damage', async () => {
    await remote.put(commitKey(2), textBody(forge(honest([], { generation: 1 }))));
    await expect(host.agent.restore()).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
  });

  it('if the store is a link, makes only the directory that it points to', async () => {
    await mkdir(join(root, 'elsewhere'));
    await symlink(join(root, 'elsewhere/lost'), join(root, 'store'));
    await publish([file('a')]);
    await putObject('a');
    expect(await host.agent.restore()).toMatchObject({ type: 'restored' });
    expect(await readdir(join(root, 'elsewhere/lost'))).toEqual(['a']);
    expect(await readdir(join(root, 'elsewhere'))).toEqual(['.lost.sync-agent', 'lost']);
  });

  it('cannot make backup, prune or clear-history delete anything outside the prefix', async () => {
    const foreign = ['photos/cat.jpg', 'mine-too/history/x', 'mine', 'history/photos/cat.jpg'];
    for (const key of foreign) await remote.put(key, textBody('mine'));
    const own = prefixed(remote, 'mine');
    const owner = await makeHost({ remote: own, root, settings: { keepLast: 1, graceMs: 60_000 } });
    const lies = [
      '../photos/cat.jpg',
      '/photos/cat.jpg',
      '..\\photos\\cat.jpg',
      'history/../../photos/cat.jpg',
    ];
    for (const [index, path] of lies.entries()) {
      await owner.write({ a: String(index) });
      await owner.agent.backup();
      // The one object that is believed without a commit: what it names beyond the snapshot is removed.
      await own.put('manifest.json', textBody(forge(honest([file(path)]))));
    }
    await owner.agent.clearHistory();
    await owner.agent.prune();
    for (const key of foreign) expect(await remote.head(key)).toBeDefined();
    expect(await owner.agent.list()).toHaveLength(1);
  });

  async function publish(files: readonly object[]): Promise<void> {
    await remote.put(commitKey(1), textBody(forge(honest(files))));
  }

  /** Where a careless reader would look; a store that refuses the key has made its point. */
  async function putObject(path: string): Promise<void> {
    await remote.put(historyKey(id, path), textBody('evil')).catch(() => undefined);
  }
});

function pin(others: object = {}): object {
  return { id, reason: 'why', at: '2026-01-01T00:00:00.000Z', host: 'h', ...others };
}

function entry(generation: number): object {
  return {
    generation,
    id: `2026-01-01T00-00-00.000Z-0000000${generation}`,
    parent: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    host: 'h',
    bytes: 1,
    records: 1,
  };
}
