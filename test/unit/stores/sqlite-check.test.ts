import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import { checkDatabase } from '../../../src/stores/sqlite/sqlite-check.ts';
import type { DatabaseVerdict } from '../../../src/stores/sqlite/sqlite-check.ts';
import type { Verdict } from '../../../src/stores/adapter.ts';

const root = mkdtempSync(join(tmpdir(), 'sqlite-check-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const rows = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)';
const users = `CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT); ${rows} INSERT INTO users SELECT i, 'name' || i FROM n;`;

const searched = `CREATE VIRTUAL TABLE f USING fts5(x); ${rows} INSERT INTO f SELECT hex(randomblob(40)) FROM n`;

let made = 0;
function makeDatabase(sql: string, more: (db: Database.Database) => void = () => undefined): string {
  const path = join(root, `${(made += 1)}.db`);
  const db = new Database(path);
  db.exec(sql);
  more(db);
  db.close();
  return path;
}

/** Changes the text of the schema, as if another program had made it. */
const rewrite = (from: string, to: string) => (db: Database.Database) => {
  db.unsafeMode();
  db.pragma('writable_schema = 1');
  const { changes } = db.prepare('UPDATE sqlite_master SET sql = replace(sql, ?, ?)').run(from, to);
  expect(changes).toBeGreaterThan(0);
};

function check(
  path: string,
  level: 'quick' | 'full' | 'proven' = 'quick',
  fullText?: 'if-small',
): DatabaseVerdict {
  const db = new Database(path, { readonly: true });
  try {
    return checkDatabase(db, { label: 'app.db', level, fullText });
  } finally {
    db.close();
  }
}

/** Overwrites the middle of the root page of a table or index. */
function spoil(path: string, object: string): void {
  const db = new Database(path);
  const page = db.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').pluck().get(object) as number;
  const pageBytes = db.pragma('page_size', { simple: true }) as number;
  db.close();
  const bytes = readFileSync(path);
  bytes.fill(0xa5, (page - 1) * pageBytes + 8, (page - 1) * pageBytes + 64);
  writeFileSync(path, bytes);
}

const kindsOf = ({ damage, findings }: Verdict) => ({
  damage: [...new Set(damage.map(({ kind }) => kind))],
  findings: [...new Set(findings.map(({ kind }) => kind))],
});

const own = 'is_slug(name)';
const foreign: readonly (readonly [string, () => string])[] = [
  [
    'a collation of its own',
    () =>
      makeDatabase(
        `${users} CREATE INDEX i ON users(name)`,
        rewrite('name TEXT', 'name TEXT COLLATE ICU_DE'),
      ),
  ],
  [
    'a collation of its own in a table without row ids',
    () =>
      makeDatabase(
        `CREATE TABLE w(name TEXT PRIMARY KEY) WITHOUT ROWID; ${rows} INSERT INTO w SELECT 'n' || i FROM n`,
        rewrite('name TEXT', 'name TEXT COLLATE ICU_DE'),
      ),
  ],
  [
    'a function of its own in a CHECK',
    () =>
      makeDatabase(
        `CREATE TABLE c(name TEXT CHECK (lower(name))); ${rows} INSERT INTO c SELECT i FROM n`,
        rewrite('lower(name)', own),
      ),
  ],
  [
    'a function of its own in an index',
    () => makeDatabase(`${users} CREATE INDEX i ON users(lower(name))`, rewrite('lower(name)', own)),
  ],
  [
    'a function of its own in a partial index',
    () =>
      makeDatabase(
        `${users} CREATE INDEX i ON users(name) WHERE lower(name) <> ''`,
        rewrite('lower(name)', own),
      ),
  ],
  [
    'a function of its own in a generated column',
    () =>
      makeDatabase(
        `CREATE TABLE g(name TEXT, s TEXT AS (lower(name)) STORED); ${rows} INSERT INTO g(name) SELECT i FROM n`,
        rewrite('lower(name)', own),
      ),
  ],
  [
    'a function of its own in a view and a trigger',
    () =>
      makeDatabase(
        `${users} CREATE VIEW v AS SELECT lower(name) FROM users; CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END`,
        rewrite('lower(name)', own),
      ),
  ],
  [
    'a tokenizer of its own',
    () =>
      makeDatabase(
        `${users} CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('hello')`,
        rewrite('fts5(body)', 'fts5(body, tokenize=signal)'),
      ),
  ],
  [
    'a tokenizer of its own, of FTS4',
    () =>
      makeDatabase(
        `${users} CREATE VIRTUAL TABLE f USING fts4(body); INSERT INTO f VALUES ('hello')`,
        rewrite('fts4(body)', 'fts4(body, tokenize=icu)'),
      ),
  ],
  [
    'a module of its own',
    () =>
      makeDatabase(users, (db) => {
        db.unsafeMode();
        db.pragma('writable_schema = 1');
        const sql = 'CREATE VIRTUAL TABLE v USING vec0(e float[4])';
        db.prepare("INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, ?)").run(sql);
      }),
  ],
];

describe('a sound database whose schema uses what its application registers', () => {
  describe.each(foreign)('%s', (_, make) => {
    it.each(['quick', 'full', 'proven'] as const)('is not called damaged: %s', (level) => {
      expect(check(make(), level).damage).toEqual([]);
    });
  });

  it('is still checked where it can be: another table', () => {
    const path = makeDatabase(
      `${users} CREATE INDEX i ON users(name); CREATE TABLE other(x); ${rows} INSERT INTO other SELECT randomblob(50) FROM n`,
      rewrite('name TEXT', 'name TEXT COLLATE ICU_DE'),
    );
    expect(kindsOf(check(path))).toEqual({ damage: [], findings: ['not-evaluable'] });
    spoil(path, 'other');
    expect(kindsOf(check(path))).toEqual({ damage: ['database'], findings: ['not-evaluable'] });
  });
});

describe('what a broken part means', () => {
  const indexed = `${users} CREATE INDEX i ON users(name)`;

  it.each([
    ['a table', indexed, 'users', { damage: ['database'], findings: [] }],
    ['an ordinary index', indexed, 'i', { damage: [], findings: ['index'] }],
    ['the index of a full-text table', searched, 'f_data', { damage: [], findings: ['full-text'] }],
    ['the only copy of its texts', searched, 'f_content', { damage: ['database'], findings: ['full-text'] }],
    [
      'a table beside a full-text table that is broken, too',
      `${searched}; ${users}`,
      'users',
      { damage: ['database'], findings: [] },
    ],
  ])('%s', (_, sql, object, kinds) => {
    const path = makeDatabase(sql);
    expect(kindsOf(check(path))).toEqual({ damage: [], findings: [] });
    spoil(path, object);
    expect(kindsOf(check(path))).toEqual(kinds);
    expect(kindsOf(check(path, 'full')).damage).toEqual(kinds.damage);
    expect(kindsOf(check(path, 'proven')).damage).toEqual(kinds.damage);
  });

  it('many complaints of a derived part hide no damage', () => {
    const path = makeDatabase(`${searched}; ${users}`);
    spoil(path, 'f_data');
    spoil(path, 'f_idx');
    spoil(path, 'users');
    expect(kindsOf(check(path)).damage).toEqual(['database']);
  });

  it('texts that their index does not know are a finding with its remedy', () => {
    const path = makeDatabase(searched, (db) =>
      db.unsafeMode().exec("UPDATE f_content SET c0 = 'x' WHERE id = 7"),
    );
    const { damage, findings } = check(path);
    expect(damage).toEqual([]);
    expect(findings).toMatchObject([
      { kind: 'full-text', where: 'app.db', remedy: expect.stringContaining("VALUES('rebuild')") as string },
    ]);
  });

  it('a rule that a record breaks is a finding', () => {
    const path = makeDatabase(
      'CREATE TABLE r(x); INSERT INTO r VALUES (NULL)',
      rewrite('r(x)', 'r(x NOT NULL)'),
    );
    expect(kindsOf(check(path))).toEqual({ damage: [], findings: ['constraint'] });
  });

  it('an index that lacks a row is a finding', () => {
    const path = makeDatabase(indexed, (db) => {
      db.unsafeMode();
      db.pragma('writable_schema = 1');
      db.prepare("UPDATE sqlite_master SET sql = replace(sql, '(name)', '(id)') WHERE name = 'i'").run();
    });
    expect(kindsOf(check(path, 'full'))).toEqual({ damage: [], findings: ['index'] });
  });

  it('a database that cannot be read at all is damage', () => {
    const path = makeDatabase(users);
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 100, 4000);
    writeFileSync(path, bytes);
    expect(kindsOf(check(path)).damage).toEqual(['database']);
  });
});

describe('full-text indexes of a large database', () => {
  const large = 'CREATE TABLE filler(x); INSERT INTO filler VALUES (zeroblob(33 * 1024 * 1024))';
  const forget = (db: Database.Database): void =>
    void db.unsafeMode().exec("UPDATE f_content SET c0 = 'x' WHERE id = 7");

  it.each(['fts4', 'fts5'])('%s: are not compared with their texts if that is put off', (module) => {
    const path = makeDatabase(`${searched.replace('fts5', module)}; ${large}`, (db) =>
      db
        .unsafeMode()
        .exec(
          `UPDATE f_content SET ${module === 'fts4' ? "c0x = 'x' WHERE docid = 7" : "c0 = 'x' WHERE id = 7"}`,
        ),
    );
    expect(check(path, 'quick', 'if-small')).toMatchObject({
      damage: [],
      findings: [],
      isFullTextLeft: true,
    });
    expect(check(path)).toMatchObject({ findings: [{ kind: 'full-text' }], isFullTextLeft: false });
  });

  it('are compared all the same by the full check, and in a small database', () => {
    const path = makeDatabase(`${searched}; ${large}`, forget);
    expect(check(path, 'full', 'if-small')).toMatchObject({
      findings: [{ kind: 'full-text' }],
      isFullTextLeft: false,
    });
    const small = makeDatabase(searched, forget);
    expect(check(small, 'quick', 'if-small')).toMatchObject({
      findings: [{ kind: 'full-text' }],
      isFullTextLeft: false,
    });
  });

  it('have their pages checked, and the other tables', () => {
    const path = makeDatabase(`${searched}; ${users}; ${large}`);
    spoil(path, 'f_data');
    expect(kindsOf(check(path, 'quick', 'if-small'))).toEqual({ damage: [], findings: ['full-text'] });
    spoil(path, 'users');
    expect(kindsOf(check(path, 'quick', 'if-small')).damage).toEqual(['database']);
  });

  it('are not missed where there are none', () => {
    const path = makeDatabase(`${users}; ${large}`);
    expect(check(path, 'quick', 'if-small')).toMatchObject({ damage: [], isFullTextLeft: false });
  });
});
