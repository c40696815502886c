import type Database from 'better-sqlite3';
import type { StoreDescription } from '../../reading.ts';

type DatabaseFacts = Omit<StoreDescription['database'], 'path' | 'bytes'>;

/** Pages and tables, by SQLite's own table of its pages (sqlite.org/dbstat.html). */
export function describeDatabase(db: Database.Database): DatabaseFacts {
  const number = (pragma: string): number => Number(db.pragma(pragma, { simple: true }));
  const rows = db
    .prepare(
      `SELECT coalesce(o.tbl_name, s.name) AS name, sum(s.pgsize) AS bytes, sum(s.unused) AS unused
       FROM dbstat s LEFT JOIN sqlite_master o ON o.name = s.name WHERE s.aggregate = TRUE GROUP BY 1 ORDER BY 2 DESC, 1`,
    )
    .all() as { name: string; bytes: number; unused: number }[];
  const used = rows.reduce((sum, { bytes }) => sum + bytes, 0);
  const unused = rows.reduce((sum, row) => sum + row.unused, 0);
  return {
    journalMode: String(db.pragma('journal_mode', { simple: true })),
    pages: number('page_count'),
    freePages: number('freelist_count'),
    fragmentation: used === 0 ? 0 : unused / used,
    tables: rows.map(({ name, bytes }) => ({ name, bytes })),
  };
}

export function describeQueue(db: Database.Database): StoreDescription['queue'] {
  return db
    .prepare('SELECT count(*) AS operations, min(seq_id) AS first, max(seq_id) AS last FROM embeddings_queue')
    .get() as StoreDescription['queue'];
}

const fullText = 'embedding_fulltext_search';

/** How far the index has the texts. `check` compares them word by word. */
export function describeFullText(db: Database.Database): StoreDescription['fullText'] {
  const tables = new Set(
    db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all() as string[],
  );
  const count = (sql: string): number => Number(db.prepare(sql).pluck().get());
  if (!tables.has(`${fullText}_docsize`)) return { texts: null, indexed: null, parts: null };
  return {
    texts: count("SELECT count(*) FROM embedding_metadata WHERE key = 'chroma:document'"),
    indexed: count(`SELECT count(*) FROM ${fullText}_docsize`),
    parts: count(`SELECT count(DISTINCT segid) FROM ${fullText}_idx`),
  };
}
