import type Database from 'better-sqlite3';

/**
 * What `embeddings_queue` calls a collection. Versions before 1.0 keep it with the collection; later ones make it from the
 * settings of the server, which nobody changes (rust/sqlite/src/helpers.rs, get_embeddings_queue_topic_name).
 */
export function topicOf(db: Database.Database, collectionId: string): string {
  const queued = db
    .prepare("SELECT topic FROM embeddings_queue WHERE topic LIKE '%/' || ? LIMIT 1")
    .pluck()
    .get(collectionId);
  if (typeof queued === 'string') return queued;
  const columns = db.prepare("SELECT name FROM pragma_table_info('collections')").pluck().all();
  const kept = columns.includes('topic')
    ? db.prepare('SELECT topic FROM collections WHERE id = ?').pluck().get(collectionId)
    : undefined;
  return typeof kept === 'string' ? kept : `persistent://default/default/${collectionId}`;
}
