import type Database from 'better-sqlite3';

/**
 * Rows that belong to no collection, table by table, in the order in which they can be removed: each condition reads what is
 * still there. Chroma leaves some behind when a collection is deleted, and older versions left more.
 */
const orphanRows: readonly { readonly table: string; readonly condition: string }[] = [
  { table: 'segments', condition: 'collection NOT IN (SELECT id FROM collections)' },
  { table: 'segment_metadata', condition: 'segment_id NOT IN (SELECT id FROM live)' },
  { table: 'max_seq_id', condition: 'segment_id NOT IN (SELECT id FROM live)' },
  { table: 'collection_metadata', condition: 'collection_id NOT IN (SELECT id FROM collections)' },
  { table: 'embeddings', condition: 'segment_id NOT IN (SELECT id FROM live)' },
  { table: 'embedding_metadata', condition: 'id NOT IN (SELECT id FROM kept)' },
  { table: 'embedding_metadata_array', condition: 'id NOT IN (SELECT id FROM kept)' },
  { table: 'embedding_fulltext_search', condition: 'rowid NOT IN (SELECT id FROM kept)' },
  // The highest number stays: Chroma counts on from it, and drops writes with a number that it has seen.
  {
    table: 'embeddings_queue',
    condition:
      "seq_id < (SELECT max(seq_id) FROM embeddings_queue) AND replace(topic, rtrim(topic, replace(topic, '/', '')), '') NOT IN (SELECT id FROM collections)",
  },
];

const withLive =
  'WITH live AS (SELECT id FROM segments WHERE collection IN (SELECT id FROM collections)), kept AS (SELECT id FROM embeddings WHERE segment_id IN (SELECT id FROM live))';

/** How many there are, by table. */
export function countOrphanRows(
  db: Database.Database,
): readonly { readonly table: string; readonly count: number }[] {
  return presentIn(db)
    .filter(({ table }) => table !== 'embedding_fulltext_search')
    .map(({ table, condition }) => ({
      table,
      count: Number(
        db.prepare(`${withLive} SELECT count(*) FROM "${table}" WHERE ${condition}`).pluck().get(),
      ),
    }))
    .filter(({ count }) => count > 0);
}

/** Removes them, in one transaction. `except`: what these tables hold stays. */
export function removeOrphanRows(db: Database.Database, except: readonly string[] = []): void {
  db.pragma('foreign_keys = off');
  db.transaction(() => {
    for (const { table, condition } of presentIn(db)) {
      if (except.includes(table)) continue;
      db.prepare(`${withLive} DELETE FROM "${table}" WHERE ${condition}`).run();
    }
  })();
}

/** Some tables came with later versions. */
function presentIn(db: Database.Database): typeof orphanRows {
  const found = new Set(db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all());
  return orphanRows.filter(({ table }) => found.has(table));
}
