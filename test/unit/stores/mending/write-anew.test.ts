import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDatabaseAnew } from '../../../../src/stores/sqlite/mending/write-anew.ts';
import { destroyPage, pagesOf } from '../../../support/damage-database.ts';
import { unpackFixture } from '../../../support/fixtures.ts';

const fill = new Map([
  [
    'embedding_fulltext_search',
    "INSERT INTO main.embedding_fulltext_search (rowid, string_value) SELECT id, string_value FROM main.embedding_metadata WHERE key = 'chroma:document'",
  ],
]);

/** Every row of every table, and the schema. */
function contentOf(path: string): unknown {
  const db = new Database(path, { readonly: true });
  try {
    const schema = db.prepare(
      "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'embedding\\_fulltext%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY type, name",
    );
    const rows = schema.all() as { type: string; name: string; sql: string }[];
    const tables = rows.filter(({ type, sql }) => type === 'table' && !sql.startsWith('CREATE VIRTUAL'));
    return [
      rows,
      ...tables.map(({ name }) => db.prepare(`SELECT * FROM "${name}" NOT INDEXED`).raw().all()),
      db.pragma('user_version'),
      db.pragma('journal_mode'),
    ];
  } finally {
    db.close();
  }
}

function checkOf(path: string): unknown {
  const db = new Database(path, { readonly: true });
  try {
    return db.pragma('integrity_check', { simple: true });
  } finally {
    db.close();
  }
}

describe('a database that is written anew', () => {
  let root: string;
  let path: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'sync-agent-anew-'));
    path = join(root, 'copy.sqlite3');
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it('has every row of the old one, whatever page of an index or a full-text index was destroyed', () => {
    const source = join(unpackFixture('chroma-1-a', join(root, 'fixture')), 'chroma.sqlite3');
    const before = contentOf(source);
    const db = new Database(source, { readonly: true });
    const objects = db
      .prepare(
        "SELECT DISTINCT d.name FROM dbstat d JOIN sqlite_schema s ON s.name = d.name WHERE s.type = 'index' OR s.name LIKE 'embedding\\_fulltext%' ESCAPE '\\'",
      )
      .pluck()
      .all() as string[];
    db.close();
    expect(objects.length).toBeGreaterThan(20);
    for (const object of objects) {
      copyFileSync(source, path);
      destroyPage(path, object, pagesOf(source, object)[0]);
      writeDatabaseAnew(path, { label: 'chroma.sqlite3', fill });
      expect({ object, check: checkOf(path) }).toEqual({ object, check: 'ok' });
      expect(contentOf(path)).toEqual(before);
    }
  });

  it('keeps numbers of rows, sequences, rules, triggers, views, its version and its journal mode', () => {
    rmSync(path, { force: true });
    const db = new Database(path);
    db.pragma('journal_mode = wal');
    db.exec(`
      CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT);
      INSERT INTO counted (id, text) VALUES (7, 'seven'), (900, 'gone');
      DELETE FROM counted WHERE id = 900;
      CREATE TABLE plain (rowid TEXT, n INT CHECK (n < 5));
      INSERT INTO plain (_rowid_, rowid, n) VALUES (41, 'a', 1), (12, 'b', 2);
      CREATE TABLE named (k TEXT PRIMARY KEY, v, twice AS (v * 2)) WITHOUT ROWID;
      INSERT INTO named VALUES ('x', 1);
      CREATE INDEX by_text ON counted (text) WHERE text IS NOT NULL;
      CREATE VIEW all_text AS SELECT text FROM counted;
      CREATE TRIGGER no_more BEFORE INSERT ON counted WHEN new.text = 'no' BEGIN SELECT RAISE(ABORT, 'no'); END;
      PRAGMA user_version = 42;
      PRAGMA ignore_check_constraints = on;
      INSERT INTO plain (_rowid_, n) VALUES (99, 77);
    `);
    db.close();
    const before = contentOf(path);
    writeDatabaseAnew(path, { label: 'it', fill });
    expect(contentOf(path)).toEqual(before);
    const after = new Database(path);
    expect(after.prepare('SELECT _rowid_ FROM plain ORDER BY n').pluck().all()).toEqual([41, 12, 99]);
    expect(after.prepare("INSERT INTO counted (text) VALUES ('next')").run().lastInsertRowid).toBe(901);
    expect(() => after.exec("INSERT INTO counted (text) VALUES ('no')")).toThrow('no');
    after.close();
    expect(readdirSync(root).filter((name) => name.endsWith('-anew'))).toEqual([]);
  });

  it.each([
    ['a table that cannot be read whole', 'CREATE TABLE t (x); ', 't'],
    ['a rule that its rows break', 'CREATE TABLE t (x); CREATE UNIQUE INDEX once ON t (x); ', 'once'],
    [
      'a virtual table that nobody knows',
      "CREATE TABLE t (x); CREATE VIRTUAL TABLE v USING fts5(y); INSERT INTO v VALUES ('y'); ",
      '',
    ],
  ])('is STORE_CORRUPT because of %s, and the old one stays', (_, schema, broken) => {
    rmSync(path, { force: true });
    const db = new Database(path);
    db.exec(schema);
    const insert = db.prepare('INSERT INTO t VALUES (?)');
    db.transaction(() => {
      for (let i = 0; i < 2000; i++) insert.run(`row ${i}`);
    })();
    if (broken === 'once') {
      db.unsafeMode(true);
      // The index says that it is unique, and the rows are not.
      db.exec(
        "DROP INDEX once; UPDATE t SET x = 'row 1' WHERE x = 'row 2'; CREATE INDEX once ON t (x); PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = replace(sql, 'CREATE INDEX', 'CREATE UNIQUE INDEX') WHERE name = 'once'; PRAGMA writable_schema = off",
      );
    }
    db.close();
    if (broken === 't') destroyPage(path, 't');
    const before = readFileSync(path);
    expect(() => writeDatabaseAnew(path, { label: 'it', fill })).toThrow(
      expect.objectContaining({ code: 'STORE_CORRUPT' }),
    );
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(root).filter((name) => name.endsWith('-anew'))).toEqual([]);
  });
});
