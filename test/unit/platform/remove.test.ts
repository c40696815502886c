import { lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { fastTmp } from '../../support/host.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(fastTmp, 'sync-agent-remove-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe('removing', () => {
  it('takes a tree away, and nothing that its links point to', async () => {
    const [outside, tree] = [join(dir, 'outside'), join(dir, 'tree')];
    await mkdir(outside);
    await writeFile(join(outside, 'precious'), '');
    await mkdir(join(tree, 'a/b/c'), { recursive: true });
    for (const path of ['1', 'a/2', 'a/b/c/3']) await writeFile(join(tree, path), '');
    await symlink(outside, join(tree, 'a/link'));
    await symlink('nowhere', join(tree, 'broken'));
    await nodeFileSystem.remove(tree);
    expect(await readdir(dir)).toEqual(['outside']);
    expect(await readdir(outside)).toEqual(['precious']);
    await symlink(outside, tree);
    await nodeFileSystem.remove(tree);
    expect(await readdir(outside)).toEqual(['precious']);
  });

  it('of one tree by two at once takes it away, and is no error for either', async () => {
    const tree = join(dir, 'tree');
    await mkdir(join(tree, 'a'), { recursive: true });
    for (const path of ['1', '2', 'a/3']) await writeFile(join(tree, path), '');
    await Promise.all([nodeFileSystem.remove(tree), nodeFileSystem.remove(tree)]);
    expect(await readdir(dir)).toEqual([]);
  });

  it('takes a file away, and is no error if there is nothing', async () => {
    await writeFile(join(dir, 'file'), '');
    await nodeFileSystem.remove(join(dir, 'file'));
    await nodeFileSystem.remove(join(dir, 'file'));
    await nodeFileSystem.remove(join(dir, 'missing/file'));
    await expect(lstat(join(dir, 'file'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
