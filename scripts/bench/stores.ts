import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { startChromaServer } from '../../test/support/chroma-server.ts';
import { documentOf, metadataOf, vectorOf } from '../../test/support/records.ts';
import type { CollectionSpec } from '../../test/support/records.ts';

const cache = fileURLToPath(new URL('../../.cache/bench', import.meta.url));
const spec: CollectionSpec = { name: 'bench', space: 'cosine', dimension: 384 };
const batch = 400;

/** A Chroma store before and after its application added 1 % more records. Nobody writes either directory. */
export interface ChromaStores {
  readonly base: string;
  readonly grown: string;
  readonly dimension: number;
}

/** Made by the real server the first time, kept in .cache/bench from then on. */
export async function makeChromaStores(records: number, say: (line: string) => void): Promise<ChromaStores> {
  const dir = await cached(`chroma-${records}`, async (work) => {
    say(`making a Chroma store of ${records} records; this happens once`);
    await addRecords(join(work, 'base'), 0, records, say);
    await copyStore(join(work, 'base'), join(work, 'grown'));
    await addRecords(join(work, 'grown'), records, Math.ceil(records * 1.01), say);
  });
  return { base: join(dir, 'base'), grown: join(dir, 'grown'), dimension: spec.dimension };
}

/** A directory with one SQLite database of about so many bytes, which do not compress. */
export async function makeSqliteStore(bytes: number, say: (line: string) => void): Promise<string> {
  const dir = await cached(`sqlite-${bytes}`, async (work) => {
    say('making a large SQLite store; this happens once');
    await mkdir(join(work, 'store'));
    const database = new Database(join(work, 'store', 'large.sqlite3'));
    database.pragma('journal_mode = OFF');
    database.pragma('synchronous = OFF');
    database.exec('CREATE TABLE blob (id INTEGER PRIMARY KEY, content BLOB)');
    const insert = database.prepare('INSERT INTO blob (content) VALUES (randomblob(60000))');
    database.transaction(() => {
      for (let written = 0; written < bytes; written += 60_000) insert.run();
    })();
    database.close();
  });
  return join(dir, 'store');
}

/**
 * Makes the files of `store` equal to those of `model` the way Chroma's server changes them: in place, writing only
 * the pages that differ, an index's pickle last.
 */
export async function changeInPlace(store: string, model: string): Promise<void> {
  const paths = await filesOf(model);
  const isLast = (path: string): number => (path.endsWith('.pickle') ? 1 : 0);
  for (const path of paths.toSorted((a, b) => isLast(a) - isLast(b))) {
    await mkdir(dirname(join(store, path)), { recursive: true });
    const from = openSync(join(model, path), 'r');
    const to = openSync(join(store, path), 'a+');
    closeSync(to);
    const writer = openSync(join(store, path), 'r+');
    try {
      writeDifferences(from, writer);
    } finally {
      closeSync(from);
      closeSync(writer);
    }
  }
}

/** With the files' times: an index whose pickle is not the newest of its files looks as if it were being written. */
export async function copyStore(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, preserveTimestamps: true });
}

async function filesOf(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .toSorted();
}

export async function bytesOf(dir: string): Promise<number> {
  const sizes = (await filesOf(dir)).map(async (path) => (await stat(join(dir, path))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

async function addRecords(
  path: string,
  from: number,
  to: number,
  say: (line: string) => void,
): Promise<void> {
  const server = await startChromaServer({ path });
  try {
    const collection = await server.client.getOrCreateCollection({
      name: spec.name,
      configuration: { hnsw: { space: spec.space } },
      embeddingFunction: null,
    });
    for (let start = from; start < to; start += batch) {
      const seeds = Array.from({ length: Math.min(batch, to - start) }, (_, index) => start + index);
      await collection.add({
        ids: seeds.map((seed) => `record-${seed}`),
        embeddings: seeds.map((seed) => vectorOf(spec, seed)),
        documents: seeds.map(textOf),
        metadatas: seeds.map(metadataOf),
      });
      if ((start - from) % 10_000 < batch) say(`  ${start} of ${to} records`);
    }
  } finally {
    await server.stop();
  }
}

/** Some 600 characters, a paragraph as applications cut texts into. */
function textOf(seed: number): string {
  return [0, 1, 2, 3].map((part) => documentOf(seed * 4 + part)).join('. ');
}

function writeDifferences(from: number, to: number): void {
  const size = 64 * 1024;
  const fresh = Buffer.alloc(size);
  const old = Buffer.alloc(size);
  let position = 0;
  for (;;) {
    const read = readSync(from, fresh, 0, size, position);
    if (read === 0) break;
    const had = readSync(to, old, 0, size, position);
    if (had !== read || fresh.compare(old, 0, had, 0, read) !== 0) writeSync(to, fresh, 0, read, position);
    position += read;
  }
  ftruncateSync(to, position);
}

/** Half a directory never gets its final name. */
async function cached(name: string, make: (work: string) => Promise<void>): Promise<string> {
  const path = join(cache, name);
  if (await stat(path).catch(() => undefined)) return path;
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, '.making-'));
  try {
    await make(work);
    await rename(work, path);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
  return path;
}
