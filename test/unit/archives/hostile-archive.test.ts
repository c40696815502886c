import { mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { fileOf, forgeArchive, forgedManifest, renamedEntries } from '../../support/forged-archive.ts';
import { fastTmp, makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let root: string;
let host: Host;
const file = (): string => join(root, 'hostile.zip');
const old = { 'a.txt': 'the present store' };
const good = { name: 'store/a.txt', text: 'fine' };

beforeAll(async () => {
  root = await mkdtemp(join(fastTmp, 'sync-agent-hostile-'));
  host = await makeHost({
    remote: createMemoryRemote({ now: Date.now }),
    root,
    ports: { findStoreUsers: async () => [] },
  });
  await host.write(old);
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** The restore fails, the store is as it was, and nothing appeared anywhere. */
async function expectRefused(code: string, message: RegExp): Promise<void> {
  const before = (await readdir(root)).filter((name) => name !== '.store.sync-agent');
  await expect(host.agent.restoreArchive(file())).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
  });
  expect(await host.read()).toEqual(old);
  expect((await readdir(root)).filter((name) => name !== '.store.sync-agent')).toEqual(before);
  expect(await readdir(join(root, '.store.sync-agent'))).not.toContain('staging');
}

describe('a restore from an archive', () => {
  it('accepts a sound archive of somebody else', async () => {
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), [good]);
    expect(await host.agent.archiveInfo(file())).toMatchObject({ records: 1, host: 'h' });
  });

  it.each([
    '../a.txt',
    '/etc/a.txt',
    'sub/../../a.txt',
    'C:\\a.txt',
    '..\\a.txt',
    '',
    'manifest.json',
    '.sync-agent/a',
  ])('refuses a manifest with the path %j', async (path) => {
    await forgeArchive(file(), forgedManifest([fileOf(path, 'fine')]), [
      { ...good, name: `store/${path}`.slice(0, 6) },
    ]);
    await expectRefused('SNAPSHOT_CORRUPT', /manifest/);
  });

  it.each([
    'store/../../escaped',
    'store/../escaped',
    'escaped',
    '/tmp/escaped',
    'store/not-named',
    'store/dir/',
  ])('refuses an entry %j that the manifest does not name', async (name) => {
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), [
      good,
      { name, text: name.endsWith('/') ? '' : 'evil' },
    ]).catch(
      // The library refuses some names itself.
      async () => {
        const plain = name.padEnd(30, 'x').replaceAll(/[./]/g, '_');
        await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), [
          good,
          { name: plain, text: 'evil' },
        ]);
        const raw = renamedEntries(await readFile(file()), plain, name.padEnd(30, 'x'));
        await writeFile(file(), raw);
      },
    );
    await expectRefused('SNAPSHOT_CORRUPT', /./);
  });

  it('refuses two entries of one name', async () => {
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), [
      good,
      { name: 'store/b.txt', text: 'evil' },
    ]);
    await writeFile(file(), renamedEntries(await readFile(file()), 'store/b.txt', 'store/a.txt'));
    await expectRefused('SNAPSHOT_CORRUPT', /./);
  });

  it('refuses a link', async () => {
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', '/etc/passwd')]), [
      { name: 'store/a.txt', text: '/etc/passwd', unixMode: 0o120777 },
    ]);
    await expectRefused('SNAPSHOT_CORRUPT', /link/);
  });

  it('refuses a file that is larger than its manifest says, before it is written', async () => {
    const bomb = 'x'.repeat(50 * 1024 * 1024);
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), [
      { name: 'store/a.txt', text: bomb },
    ]);
    await expectRefused('SNAPSHOT_CORRUPT', /has 52428800 bytes, expected 4/);
  });

  it('refuses a file that inflates to more than its entry says, without writing more', async () => {
    const bomb = 'x'.repeat(20 * 1024 * 1024);
    const lie = Buffer.alloc(4);
    lie.writeUInt32LE(4);
    const truth = Buffer.alloc(4);
    truth.writeUInt32LE(bomb.length);
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), [
      { name: 'store/a.txt', text: bomb },
    ]);
    const raw = (await readFile(file()))
      .toString('latin1')
      .replaceAll(truth.toString('latin1'), lie.toString('latin1'));
    await writeFile(file(), Buffer.from(raw, 'latin1'));
    let written = 0;
    const counting: FileSystem = {
      ...nodeFileSystem,
      openForWrite: async (path, options) => {
        const opened = await nodeFileSystem.openForWrite(path, options);
        if (!path.endsWith('a.txt')) return opened;
        const write = (bytes: Uint8Array, at: number): Promise<void> => {
          written += bytes.byteLength;
          return opened.write(bytes, at);
        };
        return { ...opened, write };
      },
    };
    const remote = createMemoryRemote({ now: Date.now });
    const counted = await makeHost({ remote, root, fs: counting, ports: { findStoreUsers: async () => [] } });
    await expect(counted.agent.restoreArchive(file())).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
    expect(written).toBeLessThanOrEqual(4);
    await expectRefused('SNAPSHOT_CORRUPT', /a\.txt/);
  });

  it('refuses other bytes than those of the hash', async () => {
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), [{ ...good, text: 'evil' }]);
    await expectRefused('SNAPSHOT_CORRUPT', /expected sha256/);
  });

  it('refuses an archive without a file, or without a manifest that counts', async () => {
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), []);
    await expectRefused('SNAPSHOT_CORRUPT', /missing/);
    await forgeArchive(file(), '{}', [good]);
    await expectRefused('SNAPSHOT_CORRUPT', /manifest/);
  });

  it('refuses a manifest of another snapshot than the comment names', async () => {
    const id = '2026-11-21T11-30-05.123Z-00000000';
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), [good]);
    await writeFile(
      file(),
      renamedEntries(await readFile(file()), '"id":"2026-11-21T11-30-05.123Z-7f3a9c2e"', `"id":"${id}"`),
    );
    await expectRefused('SNAPSHOT_CORRUPT', /comment/);
  });

  it.each([
    ['of a newer version', 'sync-agent archive {"archive":2}', 'TOO_NEW'],
    ['of another program', 'backup', 'USAGE'],
  ])('refuses a file %s', async (_, comment, code) => {
    await forgeArchive(file(), forgedManifest([fileOf('a.txt', 'fine')]), [good], comment);
    await expectRefused(code, /./);
  });

  it('refuses what is no ZIP file, is cut, or is missing', async () => {
    await writeFile(file(), 'no zip');
    await expectRefused('SNAPSHOT_CORRUPT', /ZIP/);
    await host.agent.archiveTo(file(), { force: true });
    await truncate(file(), 200);
    await expectRefused('SNAPSHOT_CORRUPT', /ZIP/);
    await rm(file());
    await expect(host.agent.restoreArchive(file())).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('names each flipped bit, or restores what was archived', async () => {
    await host.agent.archiveTo(file(), { force: true });
    const whole = await readFile(file());
    for (let at = 0; at < whole.length; at += 17) {
      const flipped = Buffer.from(whole);
      flipped.writeUInt8((flipped[at] ?? 0) ^ (1 << (at % 8)), at);
      await writeFile(file(), flipped);
      const dir = join(root, `flipped-${at}`);
      const outcome = await host.agent.restoreArchiveTo(file(), dir).then(
        () => 'restored',
        (error: { code?: string }) => error.code,
      );
      expect(['restored', 'SNAPSHOT_CORRUPT', 'USAGE', 'TOO_NEW', 'DENIED']).toContain(outcome);
      if (outcome === 'restored') expect(await readFile(join(dir, 'a.txt'), 'utf8')).toBe(old['a.txt']);
      await rm(dir, { recursive: true, force: true });
    }
  });
});
