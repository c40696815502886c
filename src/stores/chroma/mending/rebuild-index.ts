import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { SyncAgentError } from '../../../platform/errors.ts';
import { readStoredCollections } from '../records/stored-collection.ts';
import { requeueVectors } from './requeue.ts';
import { collectVectors } from './collect-vectors.ts';

/**
 * Makes a server build the vector index of a collection anew: every vector that is left goes into the queue, and the folder goes.
 * Records without a vector go, too: the server cannot serve them. On a copy only.
 */
export function rebuildIndex(db: Database.Database, dir: string, collectionId: string): void {
  const collection = readStoredCollections(db).find(({ id }) => id === collectionId);
  if (collection === undefined)
    throw new SyncAgentError(
      'STORE_CORRUPT',
      `Cannot rebuild a vector index: there is no collection ${collectionId}`,
    );
  const segment = collection.metadataSegment?.id ?? '';
  db.pragma('foreign_keys = off');
  db.transaction(() => {
    const requeue = requeueVectors(db, collection);
    const { losses } = collectVectors(db, dir, collection, requeue);
    for (const { id, missing } of losses) if (missing === 'vector') removeRecord(db, segment, id);
  })();
  const folder = collection.vectorSegment?.id ?? '';
  if (folder !== '') rmSync(join(dir, folder), { recursive: true, force: true });
}

function removeRecord(db: Database.Database, segment: string, id: string): void {
  const row = db
    .prepare('SELECT id FROM embeddings WHERE segment_id = ? AND embedding_id = ?')
    .pluck()
    .get(segment, id);
  for (const table of ['embedding_metadata', 'embedding_metadata_array', 'embeddings']) {
    const isThere = db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(table) !== undefined;
    if (isThere) db.prepare(`DELETE FROM ${table} WHERE id = ?`).run(row);
  }
  db.prepare('DELETE FROM embedding_fulltext_search WHERE rowid = ?').run(row);
}
