import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, test } from 'vitest';
import { addOrphanedRows } from '../../../src/stores/chroma/records/salvage/orphaned-rows.ts';
import { copyReadable, isComplete } from '../../../src/stores/chroma/records/salvage/readable-copy.ts';
import { fastTmp } from '../../support/host.ts';

const root = mkdtempSync(join(fastTmp, 'orphaned-rows-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const fresh = (): string => join(root, `${made++}.sqlite3`);

const schema = `
  CREATE TABLE collections (id TEXT PRIMARY KEY, name TEXT NOT NULL, dimension INTEGER, database_id TEXT NOT NULL, config_json_str TEXT);
  CREATE TABLE segments (id TEXT PRIMARY KEY, type TEXT NOT NULL, scope TEXT NOT NULL, collection TEXT NOT NULL);
  CREATE TABLE max_seq_id (segment_id TEXT PRIMARY KEY, seq_id);
  CREATE TABLE embeddings (id INTEGER PRIMARY KEY, segment_id TEXT NOT NULL, embedding_id TEXT NOT NULL, seq_id BLOB NOT NULL, created_at TIMESTAMP NOT NULL, UNIQUE (segment_id, embedding_id));
  CREATE TABLE embedding_metadata (id INTEGER, key TEXT NOT NULL, string_value TEXT, int_value INTEGER, float_value REAL, bool_value INTEGER, PRIMARY KEY (id, key));
  CREATE TABLE embeddings_queue (seq_id INTEGER PRIMARY KEY, created_at TIMESTAMP NOT NULL, operation INTEGER NOT NULL, topic TEXT NOT NULL, id TEXT NOT NULL, vector BLOB, encoding TEXT, metadata TEXT);
`;
const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const records = 700;

/** Values of every size that the format knows, and texts that do not fit into a page. */
const integers = [0, 1, -1, 127, -129, 40_000, -9_000_000, 3_000_000_000, 2 ** 45, -(2 ** 50)];

function makeDatabase(pageSize: number): string {
  const path = fresh();
  const db = new Database(path);
  db.pragma(`page_size = ${pageSize}`);
  db.exec(schema);
  const statements = {
    embeddings: db.prepare('INSERT INTO embeddings VALUES (?, ?, ?, ?, ?)'),
    metadata: db.prepare('INSERT INTO embedding_metadata VALUES (?, ?, ?, ?, ?, ?)'),
    queue: db.prepare('INSERT INTO embeddings_queue VALUES (?, ?, ?, ?, ?, ?, ?, ?)'),
  };
  db.transaction(() => {
    for (let i = 1; i <= records; i++) {
      const seqId = i % 3 === 0 ? Buffer.from([0, 0, 0, 0, 0, 0, 1, i % 256]) : BigInt(i);
      statements.embeddings.run(i, uuid(1), `id ${i} ü`, seqId, '2026-01-01 00:00:00');
      statements.metadata.run(i, 'chroma:document', `text ${i} `.repeat(i % 50 === 0 ? 900 : 3), null, null, null); // prettier-ignore
      statements.metadata.run(i, 'n', null, integers[i % integers.length], null, null);
      statements.metadata.run(i, 'f', null, null, i % 2 === 0 ? i / 7 : i, null);
      const vector = i % 4 === 0 ? null : Buffer.alloc((i % 90) * 16, i);
      statements.queue.run(i, '2026-01-01 00:00:00', i % 4, `persistent://default/default/${uuid(2)}`, `id ${i}`, vector, 'FLOAT32', i % 5 === 0 ? null : '{"k":1}'); // prettier-ignore
    }
  })();
  db.close();
  return path;
}

const tables = ['embeddings', 'embedding_metadata', 'embeddings_queue'] as const;

function rowsOf(db: Database.Database, table: string): readonly unknown[] {
  return db.prepare(`SELECT rowid, * FROM ${table} ORDER BY rowid`).raw().all();
}

function zero(path: string, page: number, pageSize: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(pageSize), 0, pageSize, (page - 1) * pageSize);
  closeSync(fd);
}

function interiorPages(path: string, table: string): readonly number[] {
  const db = new Database(path, { readonly: true });
  const pages = db.prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'internal'");
  const numbers = pages.pluck().all(table) as number[];
  db.close();
  return numbers;
}

interface Saved {
  readonly db: Database.Database;
  readonly damaged: ReadonlySet<string>;
  readonly added: number;
  readonly original: Database.Database;
}

function save(path: string): Saved {
  const original = new Database(path, { readonly: true });
  const { db, damaged } = copyReadable(original, fresh());
  return { db, damaged, added: addOrphanedRows(original, db, damaged), original };
}

describe.each([512, 4096])('in a database of pages of %d bytes', (pageSize) => {
  test.each(tables)('every row of "%s" is found below each interior page that is destroyed', (table) => {
    const path = makeDatabase(pageSize);
    const sound = new Database(path, { readonly: true });
    const expected = rowsOf(sound, table);
    sound.close();
    const pages = interiorPages(path, table);
    expect(pages.length).toBeGreaterThan(pageSize === 512 ? 1 : 0);
    for (const page of pages.filter((_, i) => i < 3)) {
      const damagedPath = makeDatabase(pageSize);
      zero(damagedPath, page, pageSize);
      const { db, damaged, added, original } = save(damagedPath);
      expect([...damaged]).toContain(table);
      expect(added).toBeGreaterThan(0);
      expect(rowsOf(db, table)).toEqual(expected);
      if (table !== 'embeddings_queue') expect(isComplete(original, db, table)).toBe(true);
      db.close();
      original.close();
    }
  });
});

test('rows that were deleted do not come back: their pages are free', () => {
  const path = makeDatabase(512);
  const db = new Database(path);
  db.exec('DELETE FROM embeddings WHERE id <= 350');
  db.close();
  zero(path, interiorPages(path, 'embeddings')[0] ?? 0, 512);
  const saved = save(path);
  expect(rowsOf(saved.db, 'embeddings').map((row) => (row as [number])[0])).toEqual(
    Array.from({ length: 350 }, (_, i) => 351 + i),
  );
});

test('a table that lost a row has fewer than the index of its key names', () => {
  const path = makeDatabase(512);
  const db = new Database(path, { readonly: true });
  const leaf = db.prepare("SELECT max(pageno) FROM dbstat WHERE name = 'embeddings' AND pagetype = 'leaf'");
  const page = Number(leaf.pluck().get());
  db.close();
  zero(path, page, 512);
  const saved = save(path);
  expect(isComplete(saved.original, saved.db, 'embeddings')).toBe(false);
});
