import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { removeOrphanRows } from '../../../src/stores/chroma/mending/orphan-rows.ts';
import { QueueStore } from '../queue-store.ts';

/** The collection that a test writes to. */
export const writtenCollection = '00000000-0000-4000-8000-00000000000a';

/** A real store that is as small as one can be: one collection whose index was never persisted, and one that is empty. */
export function makeSmallStore(): QueueStore {
  const store = new QueueStore();
  const folders = readdirSync(store.dir, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const unpersisted = folders.find(
    ({ name }) => !readdirSync(join(store.dir, name)).includes('index_metadata.pickle'),
  );
  const kept = store.change((db) =>
    db.prepare('SELECT collection FROM segments WHERE id = ?').pluck().get(unpersisted?.name),
  );
  for (const { name } of folders) rmSync(join(store.dir, name), { recursive: true });
  for (const id of store.collections()) if (id !== kept) store.delete(id);
  const db = new Database(join(store.dir, 'chroma.sqlite3'));
  removeOrphanRows(db);
  db.exec(
    'CREATE TABLE model_applied (seq_id INTEGER, topic TEXT, id TEXT, operation INTEGER, metadata TEXT)',
  );
  db.pragma('page_size = 1024');
  db.exec('VACUUM');
  db.close();
  store.create(writtenCollection);
  // Rows above this number are those of a test.
  store.write(writtenCollection, 'nothing', { operation: 3 });
  store.change((each) =>
    each.exec(
      'UPDATE embeddings_queue SET seq_id = 240 WHERE seq_id = (SELECT max(seq_id) FROM embeddings_queue)',
    ),
  );
  return store;
}
