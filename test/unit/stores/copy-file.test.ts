import { chmod, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';

let dir: string;
let from: string;
let to: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sync-agent-copy-'));
  from = join(dir, 'from');
  to = join(dir, 'to');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('a copy of a file', () => {
  it.each([0, 1, 65_535, 65_536, 65_537, 1_000_000])(
    'has its %d bytes, over a longer one too, and is private',
    async (size) => {
      const bytes = randomBytes(size);
      await writeFile(from, bytes);
      await chmod(from, 0o644);
      for (const before of [undefined, 1_200_000]) {
        if (before !== undefined) {
          await truncate(to, before);
          await chmod(to, 0o666);
        }
        await nodeFileSystem.copy(from, to);
        expect((await readFile(to)).equals(bytes)).toBe(true);
        expect((await stat(to)).mode & 0o777).toBe(0o600);
      }
      await nodeFileSystem.copy(from, to, { mode: 0o640 });
      expect((await stat(to)).mode & 0o777).toBe(0o640);
    },
  );

  it('of a read-only mode can be made', async () => {
    await writeFile(from, 'text');
    await nodeFileSystem.copy(from, to, { mode: 0o400 });
    expect(await readFile(to, 'utf8')).toBe('text');
    expect((await stat(to)).mode & 0o777).toBe(0o400);
  });

  it('of what is missing is ENOENT, and leaves nothing', async () => {
    await expect(nodeFileSystem.copy(from, to)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(stat(to)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
