import { createHash } from 'node:crypto';
import { lstat, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bytesBody, collect, fileBody, hashing } from '../../../src/remotes/body.ts';
import { createDirectoryRemote } from '../../../src/remotes/directory/directory-remote.ts';
import { fastTmp } from '../../support/host.ts';
import { PartMemory } from '../../../src/remotes/part-memory.ts';

describe('a body that is hashed as it is read', () => {
  const bytes = Buffer.from('some bytes');
  const sha256 = createHash('sha256').update(bytes).digest('hex');

  it('has its SHA-256 once it was read to its end, however often', async () => {
    const body = hashing(bytesBody(bytes));
    await expect(body.sha256()).rejects.toThrow('not read to its end');
    for (let time = 0; time < 2; time += 1) {
      expect(await collect(body.open(), 100)).toEqual(bytes);
      expect(await body.sha256()).toBe(sha256);
    }
  });

  it('is not hashed by the reading of a range', async () => {
    const body = hashing(bytesBody(bytes));
    expect((await collect(body.open({ start: 5, end: 10 }), 100)).toString()).toBe('bytes');
    await expect(body.sha256()).rejects.toThrow('not read to its end');
  });
});

describe('a file that a remote may keep', () => {
  it('is hashed although the remote does not read it', async () => {
    const dir = await mkdtemp(join(fastTmp, 'sync-agent-body-'));
    try {
      await writeFile(join(dir, 'image'), 'some bytes', { mode: 0o600 });
      const body = hashing(fileBody(join(dir, 'image'), 10));
      await createDirectoryRemote({ path: join(dir, 'remote') }).put('first', bytesBody(Buffer.from('x')));
      await createDirectoryRemote({ path: join(dir, 'remote') }).put('x', body);
      expect((await lstat(join(dir, 'remote/x'))).nlink).toBe(2);
      expect(await body.sha256()).toBe(createHash('sha256').update('some bytes').digest('hex'));
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

describe('the memory for parts', () => {
  it('is used again once it was given back, and never by two', () => {
    const memory = new PartMemory(8);
    const [one, two] = [memory.take(8), memory.take(8)];
    expect(one.buffer).not.toBe(two.buffer);
    memory.give(one);
    expect(memory.take(6).buffer).toBe(one.buffer);
    expect(memory.take(8).buffer).not.toBe(one.buffer);
  });

  it('is no more than what is asked for, for a body that is small or a part that is larger', () => {
    const memory = new PartMemory(8);
    expect(memory.take(3).buffer.byteLength).toBe(3);
    const large = memory.take(20);
    expect(large.buffer.byteLength).toBe(20);
    memory.give(large);
    expect(memory.take(8).buffer.byteLength).toBe(8);
  });
});
