import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { openForRead } from '../../../src/platform/quick/readable-file.ts';
import { fastTmp } from '../../support/host.ts';

let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(fastTmp, 'sync-agent-files-'));
  path = join(dir, 'file');
});
afterEach(() => rm(dir, { recursive: true }));

describe('an open file', () => {
  it('closes once, so that it never closes the file that got its number next', async () => {
    await writeFile(path, 'content');
    const [written, read] = [await nodeFileSystem.openForWrite(path), await openForRead(path)];
    await written.close();
    await read.close();
    const next = [await openForRead(path), await openForRead(path)];
    await written.close();
    await read.close();
    for (const file of next) expect(await file.read(Buffer.alloc(7), 0)).toBe(7);
    for (const file of next) await file.close();
  });

  it('is written and read whole, whatever its size', async () => {
    for (const size of [0, 1, 64 * 1024, 64 * 1024 + 1, 1_000_000]) {
      const bytes = Buffer.alloc(size, 'some text');
      const file = await nodeFileSystem.openForWrite(path);
      await file.truncate(0);
      await file.write(bytes, 0);
      await file.sync();
      await file.close();
      expect((await readFile(path)).equals(bytes)).toBe(true);
      const same = await openForRead(path);
      const buffer = Buffer.alloc(size + 1);
      expect(await same.read(buffer, 0)).toBe(size);
      expect(buffer.subarray(0, size).equals(bytes)).toBe(true);
      expect((await same.stat()).size).toBe(BigInt(size));
      await same.close();
    }
  });

  it('is no symbolic link if it must not be', async () => {
    await symlink(path, join(dir, 'link'));
    await expect(nodeFileSystem.openForWrite(join(dir, 'link'))).rejects.toMatchObject({ code: 'ELOOP' });
    await writeFile(path, 'content');
    await expect(openForRead(join(dir, 'link'), { noFollow: true })).rejects.toMatchObject({ code: 'ELOOP' });
    await (await openForRead(join(dir, 'link'))).close();
  });
});
