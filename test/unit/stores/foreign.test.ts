import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { foreignNames, isForeignName, isForeignPath } from '../../../src/stores/content/foreign.ts';
import { locateHome, storeExists } from '../../../src/home/home.ts';
import { scanStore } from '../../../src/stores/content/scan.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'foreign-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('names that are foreign to a store', () => {
  it.each([
    ['lost+found', 'directory'],
    ['.nfs00000000004b1c0a00000003', 'file'],
    ['.nfsfe80000000004b1c0a000003', 'file'],
    ['.nfs.20051013.a3b4', 'file'],
    ['.fuse_hidden0000001200000003', 'file'],
    ['.snapshot', 'directory'],
    ['.snapshots', 'directory'],
    ['.zfs', 'directory'],
    ['.wh.old.bin', 'file'],
    ['.wh..wh.plnk', 'directory'],
    ['.Trash-1000', 'directory'],
    ['$RECYCLE.BIN', 'directory'],
    ['System Volume Information', 'directory'],
    ['.Spotlight-V100', 'directory'],
    ['.DS_Store', 'file'],
    ['@eaDir', 'directory'],
    ['aquota.user', 'file'],
  ] as const)('%s as a %s at the root', (name, kind) => {
    expect(isForeignName(name, kind, true)).toBe(true);
    expect(isForeignName(name, undefined, true)).toBe(true);
  });

  it.each([
    ['lost+found', 'file'],
    ['lost+found.txt', 'directory'],
    ['.nfs', 'file'],
    ['.nfsrc', 'file'],
    ['.nfs0000', 'directory'],
    ['.fuse_hidden', 'file'],
    ['.snapshots', 'file'],
    ['.wh.', 'file'],
    ['.Trash', 'directory'],
    ['.Trash-1000', 'file'],
    ['.stfolder', 'directory'],
    ['._chroma.sqlite3', 'file'],
    ['Thumbs.db', 'file'],
    ['chroma.sqlite3', 'file'],
  ] as const)('but not %s as a %s: an application may mean it', (name, kind) => {
    expect(isForeignName(name, kind, true)).toBe(false);
  });

  it('below the root only what appears in any directory is foreign', () => {
    expect(isForeignPath('a/.snapshots/x', 'file')).toBe(false);
    expect(isForeignPath('.snapshots/x', 'file')).toBe(true);
    expect(isForeignPath('a/lost+found/#12', 'file')).toBe(true);
    expect(isForeignPath('a/.DS_Store', 'file')).toBe(true);
    expect(isForeignPath('a/@eaDir', 'file')).toBe(false);
  });
});

describe('a whiteout of overlayfs', () => {
  it('is foreign, and another device is not', async (test) => {
    const store = join(root, 'store');
    await mkdir(store);
    try {
      execFileSync('mknod', [join(store, 'gone'), 'c', '0', '0'], { stdio: 'ignore' });
      execFileSync('mknod', [join(store, 'null'), 'c', '1', '3'], { stdio: 'ignore' });
    } catch {
      console.warn('This user may make no devices: whiteouts are NOT tested');
      test.skip();
    }
    const scan = await scanStore(store);
    expect(scan.leftAlone).toEqual([{ path: 'gone', pattern: undefined }]);
    expect(scan.oddities).toMatchObject([{ path: 'null' }]);
  });
});

describe('a store that holds only what is foreign to it', () => {
  it('counts as missing, and a scan finds nothing', async () => {
    const store = join(root, 'store');
    await mkdir(join(store, 'lost+found'), { recursive: true });
    await writeFile(join(store, '.nfs000000000000000100000002'), 'still open somewhere');
    const home = await locateHome(store);
    expect(await storeExists(home)).toBe(false);
    expect(await scanStore(store)).toMatchObject({ files: [], oddities: [] });
    expect((await scanStore(store)).directories).toMatchObject([{ path: '', isEmpty: true }]);
    expect([...(await foreignNames(store))].toSorted()).toEqual([
      '.nfs000000000000000100000002',
      'lost+found',
    ]);
    await writeFile(join(store, 'a'), 'a');
    expect(await storeExists(home)).toBe(true);
  });
});
