import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Content, ContentFormat, FormatContext, UploadFile } from '../../src/formats/content-format.ts';
import { historyDirectory, makeSnapshotId, snapshotOfKey } from '../../src/log/layout.ts';
import { decodeManifest, encodeManifest } from '../../src/log/manifest-text.ts';
import { logEntryOf } from '../../src/log/manifest.ts';
import type { Manifest, ManifestFile } from '../../src/log/manifest.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { bytesBody, collect } from '../../src/remotes/body.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { fastTmp } from '../support/host.ts';

const trees = [
  { a: 'one', 'sub/b': 'the same in all', empty: '', twin: 'twins', 'z/twin': 'twins' },
  { a: 'two', 'sub/b': 'the same in all', empty: '', twin: 'twins', 'z/twin': 'twins' },
  { a: 'three', 'sub/b': 'the same in all', empty: '', moved: 'twins', new: 'x'.repeat(1000) },
] as const;

/** The promises of `ContentFormat`, for any implementation. */
export function describeFormat(format: ContentFormat, history: FormatContext['settings']['history']): void {
  describe(`content of format ${format.number} with history ${history}`, () => {
    let root: string;
    let remote: Remote;
    let snapshots: Manifest[];

    beforeEach(async () => {
      root = await mkdtemp(join(fastTmp, 'sync-agent-format-'));
      remote = createMemoryRemote({ now: Date.now });
      snapshots = [];
      for (const tree of trees) snapshots.push(await store(tree, snapshots.at(-1)));
    });
    afterEach(() => rm(root, { recursive: true, force: true }));

    const context = (more: Partial<FormatContext> = {}): FormatContext => ({
      remote,
      fs: nodeFileSystem,
      emit: () => undefined,
      settings: { concurrency: 3, history },
      ...more,
    });

    /** As a backup does: equal bytes are reused from the snapshot before, at the same path if there. */
    async function store(tree: Readonly<Record<string, string>>, before: Manifest | undefined, more = {}) {
      const id = makeSnapshotId(Date.UTC(2026, 0, 1 + snapshots.length), '00000000');
      const dir = join(root, id);
      const files = await Promise.all(Object.entries(tree).map(([path, text]) => save(dir, path, text)));
      const sourceOf = (file: ManifestFile): ManifestFile | undefined => {
        const equal = before?.files.filter(({ sha256 }) => sha256 === file.sha256) ?? [];
        return equal.find(({ path }) => path === file.path) ?? equal[0];
      };
      const { serverTime: _, ...written } = await format.write(context(more), {
        id,
        dir,
        isOwn: snapshots.length % 2 === 0,
        upload: files.filter((file) => sourceOf(file) === undefined).map(sometimesUnread),
        reuse: files.flatMap((file) => {
          const source = sourceOf(file);
          return source === undefined || before === undefined
            ? []
            : [{ file, source: { snapshot: before, file: source } }];
        }),
        onBytes: () => undefined,
      });
      return manifestOf(format.number, id, { ...written, generation: snapshots.length + 1 });
    }

    const read = async (snapshot: Content, file: ManifestFile, on: FormatContext): Promise<string> => {
      const to = join(root, 'read');
      await rm(to, { force: true });
      await format.readFile(on, { snapshot, file, to, onBytes: () => undefined });
      return readFile(to, 'utf8');
    };
    const textsOf = async (snapshot: Manifest, on: FormatContext): Promise<Record<string, string>> => {
      const texts: Record<string, string> = {};
      for (const file of snapshot.files) texts[file.path] = await read(snapshot, file, on);
      return texts;
    };
    const verify = async (snapshot: Content, file: ManifestFile): Promise<void> =>
      format.verifyFile(context(), { snapshot, file, onBytes: () => undefined });

    it('gives back the bytes of every file, after its manifest was written and read', async () => {
      for (const [index, snapshot] of snapshots.entries()) {
        const decoded = decodeManifest(encodeManifest(snapshot), 'key', [1, format.number]);
        expect(decoded).toEqual(snapshot);
        expect(await textsOf(decoded, context())).toEqual(trees[index]);
        for (const file of decoded.files) await verify(decoded, file);
      }
    });

    it('finds out the SHA-256 of files that nobody has read yet', async () => {
      for (const snapshot of snapshots)
        for (const file of snapshot.files) {
          const text = (trees[snapshot.generation - 1] as Readonly<Record<string, string>>)[file.path] ?? '';
          expect(file.sha256).toBe(createHash('sha256').update(text).digest('hex'));
        }
    });

    it('needs no object that it does not name', async () => {
      for (const [index, snapshot] of snapshots.entries()) {
        const alone = createMemoryRemote({ now: Date.now });
        for (const { key } of format.reliedOn(snapshot))
          await alone.put(key, bytesBody(await bytesOf(remote, key)));
        expect(await textsOf(snapshot, context({ remote: alone }))).toEqual(trees[index]);
      }
    });

    it('names the objects of each file with their sizes', async () => {
      for (const snapshot of snapshots) {
        const objects = format.reliedOn(snapshot);
        expect(new Set(objects.map(({ path }) => path))).toEqual(
          new Set(snapshot.files.map(({ path }) => path)),
        );
        for (const { key, size } of objects) expect(await remote.head(key)).toMatchObject({ size });
      }
    });

    it('names those of some files, if it is asked for some', () => {
      for (const snapshot of snapshots) {
        const files = snapshot.files.filter(({ path }) => path === 'a');
        expect(format.reliedOn({ ...snapshot, files })).toEqual(
          format.reliedOn(snapshot).filter(({ path }) => path === 'a'),
        );
      }
    });

    it("writes below the new snapshot's directory only: files as they are, or what no store file is called", async () => {
      const ids = snapshots.map(({ id }) => id);
      for (const key of await keysOf(remote)) {
        const owner = snapshotOfKey(key) ?? '';
        expect(ids).toContain(owner);
        const path = key.slice(historyDirectory(owner).length);
        const text: string | undefined = (trees[ids.indexOf(owner)] as Record<string, string>)[path];
        if (!path.startsWith('.sync-agent/')) expect((await bytesOf(remote, key)).toString()).toBe(text);
      }
    });

    it('says in the log whether a snapshot needs the objects of another', () => {
      for (const snapshot of snapshots) {
        const isLinked = format.reliedOn(snapshot).some(({ key }) => snapshotOfKey(key) !== snapshot.id);
        expect(logEntryOf(snapshot).linked ?? false).toBe(isLinked);
      }
      expect(logEntryOf(snapshots[1] as Manifest).linked ?? false).toBe(history === 'linked');
    });

    it.each<[string, (bytes: Buffer) => Buffer | undefined]>([
      ['missing', () => undefined],
      ['cut', (bytes) => bytes.subarray(0, -1)],
      ['empty', () => Buffer.alloc(0)],
      ['too long', (bytes) => Buffer.concat([bytes, Buffer.from('!')])],
      ['zeros', (bytes) => Buffer.alloc(bytes.length)],
    ])('finds an object that is %s, and names it', async (_, damage) => {
      for (const key of new Set(snapshots.flatMap(format.reliedOn).map((object) => object.key))) {
        const good = await bytesOf(remote, key);
        const bad = damage(good);
        if (bad?.equals(good) === true) continue;
        await (bad === undefined ? remote.remove([key]) : remote.put(key, bytesBody(bad)));
        for (const snapshot of snapshots) {
          const needing = format.reliedOn(snapshot).filter((object) => object.key === key);
          const refused = { code: 'SNAPSHOT_CORRUPT', message: expect.stringContaining(key) as string };
          for (const file of snapshot.files.filter(({ path }) =>
            needing.some((each) => each.path === path),
          )) {
            await expect(verify(snapshot, file)).rejects.toMatchObject(refused);
            await expect(read(snapshot, file, context())).rejects.toMatchObject(refused);
          }
        }
        await remote.put(key, bytesBody(good));
      }
    });

    it('ends with INTERRUPTED, and writes nothing afterwards', async () => {
      const before = await keysOf(remote);
      const ended = store({ z: 'never written' }, undefined, { signal: AbortSignal.abort() });
      await expect(ended).rejects.toMatchObject({ code: 'INTERRUPTED' });
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(await keysOf(remote)).toEqual(before);
    });
  });
}

async function save(dir: string, path: string, text: string): Promise<ManifestFile> {
  await mkdir(dirname(join(dir, path)), { recursive: true });
  await writeFile(join(dir, path), text);
  const sha256 = createHash('sha256').update(text).digest('hex');
  return { path, size: Buffer.byteLength(text), sha256, mode: 0o644, mtimeMs: 0 };
}

function manifestOf(
  format: number,
  id: string,
  more: Pick<Manifest, 'files' | 'content' | 'linked' | 'generation'>,
): Manifest {
  return {
    format,
    id,
    parent: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    uploadId: '0'.repeat(32),
    host: 'host',
    agent: 'agent',
    adapter: 'files',
    emptyDirectories: [],
    statistics: { records: 1 },
    stall: { heldMs: 0, longestHoldMs: 0 },
    log: [],
    resolved: [],
    ...more,
  };
}

async function keysOf(remote: Remote): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const page of remote.list('')) keys.push(...page.objects.map(({ key }) => key));
  return keys;
}

async function bytesOf(remote: Remote, key: string): Promise<Buffer> {
  return collect((await remote.get(key)).body, 1e6);
}

/** A backup hashes a file before it is stored only if the snapshot before may have it. */
function sometimesUnread({ sha256, ...file }: ManifestFile, index: number): UploadFile {
  return index % 2 === 0 ? file : { ...file, sha256 };
}
