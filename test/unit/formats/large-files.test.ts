import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { followFile } from '../../../src/formats/plain/hash-thread.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { bytesBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const MiB = 1024 * 1024;
const large = Buffer.alloc(40 * MiB, 'large');
const larger = Buffer.alloc(50 * MiB, 'larger');

let memory: Remote;
let hosts: Host[];

beforeEach(() => {
  memory = createMemoryRemote({ now: Date.now });
  hosts = [];
});

afterEach(async () => {
  for (const each of hosts) await each.remove();
});

async function host(remote = memory, fs: FileSystem = nodeFileSystem): Promise<Host> {
  const made = await makeHost({ remote, fs });
  hosts.push(made);
  return made;
}

async function backUp(remote = memory): Promise<string> {
  const a = await host(remote);
  await a.write({ small: 'small' });
  await writeFile(join(a.store, 'large'), large);
  await writeFile(join(a.store, 'larger'), larger);
  const result = await a.agent.backup();
  if (result.type !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  return result.id;
}

const partBytes = 6 * MiB;
/** As a remote that takes large files in parts: what they hold goes into the manifest. `broken`: the number of a part of which it tells another hash. */
const inParts = (broken?: number): Remote => ({
  ...memory,
  location: memory.location,
  put: async (key, body, options) => {
    const done = await memory.put(key, body, options);
    const bytes = { large, larger }[key.split('/').at(-1) ?? ''];
    if (bytes === undefined) return done;
    const sha256 = Array.from({ length: Math.ceil(bytes.byteLength / partBytes) }, (_, number) =>
      createHash('sha256')
        .update(number === broken ? 'else' : bytes.subarray(number * partBytes, (number + 1) * partBytes))
        .digest('hex'),
    );
    return { ...done, parts: { bytes: partBytes, sha256 } };
  },
});

const reading = (get: Remote['get']): Remote => ({ ...memory, location: memory.location, get });

describe('large files', () => {
  it('are whole when their later ranges come first', async () => {
    await backUp();
    const b = await host(
      reading(async (key, options) => {
        if (options?.range?.start === 0) await delay(100);
        return memory.get(key, options);
      }),
    );
    expect(await b.agent.restore()).toMatchObject({ type: 'restored' });
    expect((await readFile(join(b.store, 'large'))).equals(large)).toBe(true);
    expect((await readFile(join(b.store, 'larger'))).equals(larger)).toBe(true);
  });

  it.each([0, 20 * MiB, 40 * MiB - 1])('are damaged if the byte at %i is another one', async (position) => {
    const id = await backUp();
    const other = Buffer.from(large);
    other[position] = 0;
    for (const key of [`history/${id}/large`, 'large']) await memory.put(key, bytesBody(other));
    await expect((await host()).agent.restore()).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      message: expect.stringContaining(`"history/${id}/large" is damaged, expected sha256`) as string,
    });
  });

  it('are checked part by part if the manifest knows the parts', async () => {
    await backUp(inParts());
    const b = await host();
    expect(await b.agent.restore()).toMatchObject({ type: 'restored' });
    expect((await readFile(join(b.store, 'large'))).equals(large)).toBe(true);
    expect((await readFile(join(b.store, 'larger'))).equals(larger)).toBe(true);
  });

  it.each([0, 18 * MiB, 40 * MiB - 1])(
    'are damaged, and it is said what they are, if the byte at %i of a part is another one',
    async (position) => {
      const id = await backUp(inParts());
      const other = Buffer.from(large);
      other[position] = 0;
      for (const key of [`history/${id}/large`, 'large']) await memory.put(key, bytesBody(other));
      const [expected, found] = [large, other].map((bytes) =>
        createHash('sha256').update(bytes).digest('hex'),
      );
      await expect((await host()).agent.restore()).rejects.toMatchObject({
        code: 'SNAPSHOT_CORRUPT',
        message: expect.stringContaining(`is damaged, expected sha256 ${expected}, found ${found}`) as string,
      });
    },
  );

  it('are whole if only what the manifest says of a part is wrong', async () => {
    await backUp(inParts(2));
    const b = await host();
    expect(await b.agent.restore()).toMatchObject({ type: 'restored' });
    expect((await readFile(join(b.store, 'larger'))).equals(larger)).toBe(true);
  });

  it('come before small ones, the largest first', async () => {
    await backUp();
    const asked: string[] = [];
    const b = await makeHost({
      remote: reading((key, options) => {
        asked.push(key.slice(key.lastIndexOf('/') + 1));
        return memory.get(key, options);
      }),
      settings: { concurrency: 1 },
    });
    hosts.push(b);
    await b.agent.restore();
    const files = asked.filter((name) => !name.endsWith('.json'));
    expect([...new Set(files)]).toEqual(['larger', 'large', 'small']);
  });

  it('come one after the other, so that the check of the first begins early', async () => {
    await backUp();
    const asked: string[] = [];
    const remote = reading((key, options) => {
      if (options?.range !== undefined) asked.push(key.slice(key.lastIndexOf('/') + 1));
      return memory.get(key, options);
    });
    const slow: FileSystem = {
      ...nodeFileSystem,
      openForWrite: async (path, options) => {
        if (path.endsWith('/larger')) await delay(100);
        return nodeFileSystem.openForWrite(path, options);
      },
    };
    await (await host(remote, slow)).agent.restore();
    expect(asked).toEqual(['larger', 'larger', 'larger', 'larger', 'large', 'large', 'large']);
  });

  it('are flushed while they come', async () => {
    await backUp();
    const done: string[] = [];
    const fs: FileSystem = {
      ...nodeFileSystem,
      openForWrite: async (path, options) => {
        const file = await nodeFileSystem.openForWrite(path, options);
        if (!path.endsWith('/larger')) return file;
        return {
          ...file,
          sync: () => (done.push('sync'), file.sync()),
          close: () => (done.push('close'), file.close()),
        };
      },
    };
    await (await host(memory, fs)).agent.restore();
    expect(done.indexOf('sync')).toBe(0);
    expect(done.at(-1)).toBe('close');
  });

  it('fail their restore if a flush fails on the way', async () => {
    await backUp();
    const fs: FileSystem = {
      ...nodeFileSystem,
      openForWrite: async (path, options) => {
        const file = await nodeFileSystem.openForWrite(path, options);
        const failure = Object.assign(new Error('by this test'), { code: 'EIO' });
        return path.endsWith('/larger') ? { ...file, sync: () => Promise.reject(failure) } : file;
      },
    };
    const b = await host(memory, fs);
    await expect(b.agent.restore()).rejects.toThrow(/by this test/);
    expect(await b.read()).toBeUndefined();
  });
});

describe('the hash that follows a file', () => {
  it('is that of the bytes in the file up to the last end', async () => {
    const a = await host();
    await a.write({ x: 'one two three' });
    const hash = followFile(join(a.store, 'x'));
    hash.upTo(3);
    await writeFile(join(a.store, 'x'), 'one TWO three');
    hash.upTo(7);
    expect(await hash.digest()).toBe(createHash('sha256').update('one TWO').digest('hex'));
    hash.close();
  });

  it('is that of each place from which bytes follow each other', async () => {
    const a = await host();
    await a.write({ x: 'one two three' });
    const hash = followFile(join(a.store, 'x'));
    hash.upTo(5, 4);
    hash.upTo(3);
    hash.upTo(7, 4);
    const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
    expect(await Promise.all([hash.digest(4), hash.digest()])).toEqual([hashOf('two'), hashOf('one')]);
    hash.upTo(13);
    expect(await hash.digest()).toBe(hashOf('one two three'));
    await expect(hash.digest()).rejects.toThrow(/from byte 0/);
    hash.close();
  });

  it('fails if the file is shorter, or gone, and others are none the worse', async () => {
    const a = await host();
    await a.write({ x: 'one', y: 'y' });
    const [short, gone, good] = ['x', 'missing', 'y'].map((name) => followFile(join(a.store, name)));
    short?.upTo(4);
    gone?.upTo(1);
    good?.upTo(1);
    await expect(short?.digest()).rejects.toThrow(/ended at byte 3, expected 4/);
    await expect(gone?.digest()).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await good?.digest()).toBe(createHash('sha256').update('y').digest('hex'));
    for (const each of [short, gone, good]) each?.close();
  });
});
