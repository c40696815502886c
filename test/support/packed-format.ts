import { createHash } from 'node:crypto';
import { readFile as readLocal } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import * as z from 'zod';
import type {
  Content,
  ContentFormat,
  FileRead,
  FormatContext,
  WriteWork,
  Written,
} from '../../src/formats/content-format.ts';
import { historyDirectory, pathProblem } from '../../src/log/layout.ts';
import { SyncAgentError, isSyncAgentError } from '../../src/platform/errors.ts';
import { bytesBody, collect } from '../../src/remotes/body.ts';

/** The member `content` of its manifests: the packs that a snapshot needs, and where in them each file lies. */
const contentSchema = z.object({
  packs: z.record(z.string(), z.object({ size: z.number() })),
  files: z.record(z.string(), z.object({ pack: z.string(), start: z.number(), end: z.number() })),
});

type PackedContent = z.infer<typeof contentSchema>;
type Place = PackedContent['files'][string];

/**
 * A second format, for tests: what is new in a snapshot is compressed file by file and appended to one object, its pack. With
 * linked history the rest stays in the packs of older snapshots, else it is packed again. Unlike a format to be released,
 * it holds a pack in memory.
 */
export const packedFormat: ContentFormat = {
  number: 2,
  assertStorable: (paths) => {
    for (const path of paths) {
      const problem = pathProblem(path);
      if (problem !== undefined)
        throw new SyncAgentError('REFUSED', `Cannot back up "${path}": its path ${problem}`);
    }
  },
  write,
  reliedOn: (snapshot) => {
    const { packs } = contentOf(snapshot);
    return snapshot.files.map(({ path }) => {
      const { pack } = placeOf(snapshot, path);
      return { key: packKey(pack), size: packs[pack]?.size ?? 0, path };
    });
  },
  readFile: async (context, { to, ...read }) => {
    const bytes = await fetchFile(context, read);
    if (to === undefined) return;
    const target = await context.fs.openForWrite(to, { exclusive: true });
    try {
      await target.write(bytes, 0);
    } finally {
      await target.close();
    }
  },
  verifyFile: async (context, read) => {
    await fetchFile(context, read);
  },
};

const packKey = (snapshotId: string): string => `${historyDirectory(snapshotId)}.sync-agent/pack`;

async function write(context: FormatContext, work: WriteWork): Promise<Written> {
  const { remote, settings, signal } = context;
  const isLinked = settings.history === 'linked';
  const content: PackedContent = { packs: {}, files: {} };
  const chunks: Buffer[] = [];
  let end = 0;
  const hashes = new Map<string, string>();
  for (const file of [...work.upload, ...(isLinked ? [] : work.reuse.map((each) => each.file))]) {
    const bytes = await readLocal(join(work.dir, file.path));
    hashes.set(file.path, createHash('sha256').update(bytes).digest('hex'));
    const chunk = deflateRawSync(bytes);
    chunks.push(chunk);
    content.files[file.path] = { pack: work.id, start: end, end: end + chunk.length };
    end += chunk.length;
  }
  for (const { file, source } of isLinked ? work.reuse : []) {
    const place = placeOf(source.snapshot, source.file.path);
    content.files[file.path] = place;
    content.packs[place.pack] = contentOf(source.snapshot).packs[place.pack] ?? { size: 0 };
  }
  let serverTime: Date | undefined;
  if (chunks.length > 0) {
    content.packs[work.id] = { size: end };
    const body = bytesBody(Buffer.concat(chunks));
    ({ serverTime } = await remote.put(packKey(work.id), body, { onBytes: work.onBytes, signal }));
  }
  const files = [
    ...work.upload.map((file) => ({ ...file, sha256: hashes.get(file.path) ?? '' })),
    ...work.reuse.map((each) => each.file),
  ];
  return {
    files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    content,
    ...(Object.keys(content.packs).some((id) => id !== work.id) ? { linked: true } : {}),
    serverTime,
  };
}

async function fetchFile(context: FormatContext, { snapshot, file, onBytes }: FileRead): Promise<Buffer> {
  const { pack, start, end } = placeOf(snapshot, file.path);
  const key = packKey(pack);
  const fail = (why: string, cause?: unknown): SyncAgentError =>
    new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot restore snapshot ${snapshot.id}: object "${key}" ${why}`, {
      cause,
    });
  const { remote, signal } = context;
  const [present, expected] = [await remote.head(key, { signal }), contentOf(snapshot).packs[pack]];
  if (present === undefined) throw fail('is missing');
  if (present.size !== expected?.size) throw fail(`has ${present.size} bytes, expected ${expected?.size}`);
  try {
    const { body } = await remote.get(key, { range: { start, end }, signal });
    const bytes = inflateRawSync(await collect(body, end - start), { maxOutputLength: file.size + 1 });
    if (createHash('sha256').update(bytes).digest('hex') !== file.sha256) throw fail('is damaged');
    onBytes(bytes.length);
    return bytes;
  } catch (error) {
    if (!(error instanceof SyncAgentError)) throw fail('is damaged', error);
    throw isSyncAgentError(error, 'NOT_FOUND') ? fail('is missing', error) : error;
  }
}

function contentOf({ id, content }: Content): PackedContent {
  const parsed = contentSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot read snapshot ${id}: its content has the wrong form`);
}

function placeOf(snapshot: Content, path: string): Place {
  const place = contentOf(snapshot).files[path];
  if (place !== undefined) return place;
  throw new SyncAgentError(
    'SNAPSHOT_CORRUPT',
    `Cannot read snapshot ${snapshot.id}: "${path}" is in no pack`,
  );
}
