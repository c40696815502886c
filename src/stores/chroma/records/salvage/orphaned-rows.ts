import type Database from 'better-sqlite3';
import { openPages } from '../../../sqlite/pages/page-file.ts';
import type { PageFile } from '../../../sqlite/pages/page-file.ts';
import { rowsOf } from '../../../sqlite/pages/page-rows.ts';
import type { PageRow } from '../../../sqlite/pages/page-rows.ts';
import { addFreePages, addPagesOfTrees } from '../../../sqlite/pages/page-trees.ts';
import { columnsOf } from '../stored-collection.ts';
import { tolerate } from './readable-copy.ts';
import { shapesOf } from './table-shapes.ts';
import type { TableShape } from './table-shapes.ts';

/**
 * Adds the rows of pages that no other page leads to any more: below a destroyed page of a tree, and of tables that the list of tables
 * lost. Whose they are, their form says. Free pages are left out: their rows were deleted. Returns how many rows were new.
 */
export function addOrphanedRows(
  from: Database.Database,
  to: Database.Database,
  damaged: ReadonlySet<string>,
): number {
  const file = openPages(from.name);
  if (file === undefined) return 0;
  try {
    let added = 0;
    const ambiguous: { readonly rows: readonly PageRow[]; readonly fitting: readonly TableShape[] }[] = [];
    for (const rows of orphanedPages(file, from)) {
      const fitting = shapesOf(rows).filter(({ table }) => damaged.has(table) || !hasTable(to, table));
      const [shape] = fitting;
      if (shape === undefined) continue;
      if (fitting.length === 1) added += addRows(to, shape, rows);
      else ambiguous.push({ rows, fitting });
    }
    for (const { rows, fitting } of ambiguous) {
      const shape = fitting.find(({ table }) => table === likelyTable(to, rows)) ?? fitting[0];
      if (shape !== undefined) added += addRows(to, shape, rows);
    }
    return added;
  } finally {
    file.close();
  }
}

function* orphanedPages(file: PageFile, db: Database.Database): Generator<readonly PageRow[]> {
  const seen = new Set<number>();
  const roots = tolerate(() => db.prepare('SELECT rootpage FROM sqlite_master WHERE rootpage > 0').pluck().all()); // prettier-ignore
  addPagesOfTrees(file, [1, ...((roots ?? []) as number[])], seen);
  addFreePages(file, seen);
  for (let number = 2; number <= file.pageCount; number++) if (!seen.has(number)) yield rowsOf(file, number);
}

/** Two pairs of tables have rows of the same form. Metadata of collections and segments differ by whose they are, arrays by keys that repeat. */
function likelyTable(to: Database.Database, rows: readonly PageRow[]): string {
  if (typeof rows[0]?.values[0] === 'string') {
    const isSegment = to.prepare('SELECT 1 FROM segments WHERE id = ?').pluck();
    const isOfSegment = rows.some(({ values: [id] }) => isSegment.get(id) === 1);
    return isOfSegment ? 'segment_metadata' : 'collection_metadata';
  }
  const keys = rows.map(({ values: [id, key] }) => `${String(id)} ${String(key)}`);
  return new Set(keys).size < keys.length ? 'embedding_metadata_array' : 'embedding_metadata';
}

function addRows(to: Database.Database, { table, sql }: TableShape, rows: readonly PageRow[]): number {
  if (!hasTable(to, table)) to.exec(`CREATE TABLE ${table} (${sql})`);
  const columns = [...columnsOf(to, table)].map((name) => `"${name}"`);
  const insert = to.prepare(
    `INSERT OR IGNORE INTO ${table} (rowid, ${columns.join(', ')}) VALUES (?${', ?'.repeat(columns.length)})`,
  );
  const isNumbered = table === 'embeddings' || table === 'embeddings_queue';
  let added = 0;
  to.transaction(() => {
    for (const { rowid, values } of rows) {
      const all = columns.map((_, i) => (i === 0 && isNumbered ? rowid : (values[i] ?? null)));
      added += insert.run(rowid, ...all).changes;
    }
  })();
  return added;
}

const hasTable = (db: Database.Database, table: string): boolean => columnsOf(db, table).size > 0;
