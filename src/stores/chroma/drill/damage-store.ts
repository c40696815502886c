import { closeSync, openSync, writeSync } from 'node:fs';
import { rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SyncAgentError } from '../../../platform/errors.ts';
import type { StoreDamage } from '../../drilling.ts';
import { indexFolders } from '../describe/index-folders.ts';
import { hasIndexMetadata } from '../index/persisted-index.ts';
import { readStoredCollections } from '../records/stored-collection.ts';

const databaseName = 'chroma.sqlite3';
const headerBytes = 100;

/** Damages a Chroma directory that is nobody else's, and says what it did: the end of a sentence. */
export async function damageChroma(dir: string, kind: StoreDamage): Promise<string> {
  const path = join(dir, databaseName);
  switch (kind) {
    case 'database-header':
      overwrite(path, 0, Buffer.alloc(headerBytes));
      return `the header of ${databaseName} was zeroed`;
    case 'table-page':
      return destroyPage(path, 'embeddings', 'table "embeddings"');
    case 'index-page':
      return destroyPage(path, largestIndex(path));
    case 'full-text':
      return destroyPage(path, 'embedding_fulltext_search_data', 'the full-text index');
    case 'vectors-truncated':
      return changeIndexFile(dir, 'data_level0.bin', async (file, size) => {
        await truncate(file, Math.floor(size / 2));
        return 'lost its second half';
      });
    case 'links-zeroed':
      return changeIndexFile(dir, 'link_lists.bin', async (file, size) => {
        await writeFile(file, Buffer.alloc(size));
        return 'was zeroed';
      });
    case 'pickle-missing':
      return changeIndexFile(dir, 'index_metadata.pickle', async (file) => {
        await rm(file);
        return 'was removed';
      });
    case 'folder-missing': {
      const folder = await largestFolder(dir);
      await rm(join(dir, folder), { recursive: true });
      return `folder ${folder} was removed`;
    }
    default:
      return kind satisfies never;
  }
}

function destroyPage(path: string, object: string, name = `index "${object}"`): string {
  const { page, size } = inDatabase(path, (db) => ({
    page: db
      .prepare('SELECT pageno FROM dbstat WHERE name = ? ORDER BY pageno DESC LIMIT 1')
      .pluck()
      .get(object),
    size: Number(db.pragma('page_size', { simple: true })),
  }));
  if (typeof page !== 'number') throw nothing(`its database has no ${name}`);
  overwrite(path, (page - 1) * size, Buffer.alloc(size, 0xa7));
  return `page ${page} of ${databaseName}, of ${name}, was overwritten`;
}

function largestIndex(path: string): string {
  const name = inDatabase(path, (db) =>
    db
      .prepare(
        `SELECT name FROM dbstat WHERE aggregate = TRUE AND name IN
         (SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name LIKE 'embedding%') ORDER BY pgsize DESC, name LIMIT 1`,
      )
      .pluck()
      .get(),
  );
  if (typeof name !== 'string') throw nothing('its database has no index');
  return name;
}

async function changeIndexFile(
  dir: string,
  name: string,
  change: (path: string, size: number) => Promise<string>,
): Promise<string> {
  const file = `${await largestFolder(dir)}/${name}`;
  const path = join(dir, file);
  return `${file} ${await change(path, (await stat(path)).size)}`;
}

/** Of the collection whose index takes most bytes. */
async function largestFolder(dir: string): Promise<string> {
  const bytes = await indexFolders(dir);
  const ids = inDatabase(join(dir, databaseName), (db) =>
    readStoredCollections(db).flatMap(({ vectorSegment }) => vectorSegment?.id ?? []),
  );
  const [largest] = ids
    .filter((segmentId) => bytes.has(segmentId) && hasIndexMetadata({ dir, segmentId }))
    .toSorted((a, b) => (bytes.get(b) ?? 0) - (bytes.get(a) ?? 0));
  if (largest === undefined) throw nothing('no collection has an index on the disk');
  return largest;
}

function inDatabase<T>(path: string, read: (db: Database.Database) => T): T {
  const db = new Database(path, { fileMustExist: true });
  try {
    return read(db);
  } finally {
    db.close();
  }
}

function overwrite(path: string, position: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  try {
    writeSync(file, bytes, 0, bytes.length, position);
  } finally {
    closeSync(file);
  }
}

function nothing(why: string): SyncAgentError {
  return new SyncAgentError('USAGE', `Cannot damage the copy of the store: ${why}`, {
    remedy: 'Choose another kind of damage',
  });
}
