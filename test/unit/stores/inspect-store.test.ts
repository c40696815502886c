import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, test } from 'vitest';
import { chromaKind } from '../../../src/stores/chroma/chroma-kind.ts';
import { filesKind } from '../../../src/stores/files/files-kind.ts';
import { inspectSqlite } from '../../../src/stores/sqlite/inspect-sqlite.ts';
import { isSqliteFile } from '../../../src/stores/sqlite/sqlite-file.ts';
import { sqliteKind } from '../../../src/stores/sqlite/sqlite-kind.ts';
import { inspectStore } from '../../../src/stores/inspect.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'inspect-store-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function makeDirectory(name: string): string {
  const dir = join(root, name);
  mkdirSync(dir, { recursive: true });
  return dir;
}

function makeDatabase(path: string, sql: string): void {
  const db = new Database(path);
  db.exec(sql);
  db.close();
}

describe('inspectStore', () => {
  test('judges in a thread of its own while this one goes on', async () => {
    const dir = unpackFixture('chroma-0.6.3', join(root, 'threads'));
    let ticks = 0;
    const ticking = setInterval(() => (ticks += 1), 5);
    const report = await inspectStore(chromaKind, dir, { level: 'full' });
    clearInterval(ticking);
    expect(report.damage).toEqual([]);
    expect(report.statistics.records).toBe(2033);
    expect(ticks).toBeGreaterThan(3);
  });

  test('an aborted inspection rejects with INTERRUPTED and leaves no file behind', async () => {
    const dir = makeDirectory('abort');
    makeDatabase(join(dir, 'large.db'), "PRAGMA journal_mode = WAL; CREATE TABLE t (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO t SELECT randomblob(100) FROM n; CREATE INDEX i ON t (x)"); // prettier-ignore
    const before = fingerprintOf(dir);
    const controller = new AbortController();
    const inspection = inspectStore(sqliteKind, dir, { level: 'full', signal: controller.signal });
    await waitUntil(() => readdirSync(dir).includes('large.db-shm'));
    controller.abort();
    await expect(inspection).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await waitUntil(() => !readdirSync(dir).includes('large.db-shm'));
    expect(fingerprintOf(dir)).toEqual(before);
  });

  test('a signal that was aborted before starts nothing', async () => {
    await expect(
      inspectStore(filesKind, root, { level: 'quick', signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  test.each([filesKind, sqliteKind])('errors of $name keep their code', async (kind) => {
    await expect(inspectStore(kind, join(root, 'nowhere'), { level: 'quick' })).rejects.toMatchObject({
      name: 'SyncAgentError',
      code: 'NOT_FOUND',
      message: expect.stringContaining('nowhere') as string,
    });
  });

  test('a thread that dies says so', async () => {
    await expect(
      inspectStore({ ...sqliteKind, name: 'nonsense' }, root, { level: 'quick' }),
    ).rejects.toMatchObject({
      code: 'INTERNAL',
    });
  });
});

describe('inspectSqlite', () => {
  test('counts the rows of ordinary tables of every database, however it is named', async () => {
    const dir = makeDirectory('rows/deep');
    makeDatabase(join(root, 'rows', 'app.data'), "CREATE TABLE \"a \"\"b\" (x); INSERT INTO \"a \"\"b\" VALUES (1), (2); CREATE VIRTUAL TABLE f USING fts5(t); INSERT INTO f VALUES ('x'); CREATE TABLE s (i INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO s DEFAULT VALUES"); // prettier-ignore
    makeDatabase(join(dir, 'two'), 'CREATE TABLE t (x); INSERT INTO t VALUES (1)');
    writeFileSync(join(dir, 'notes.db'), 'no database');
    writeFileSync(join(dir, 'empty.db'), '');
    const before = fingerprintOf(join(root, 'rows'));
    expect(await inspectSqlite(join(root, 'rows'), { level: 'full' })).toEqual({
      damage: [],
      findings: [],
      statistics: { records: 4 },
      databases: ['app.data', 'deep/two'],
      isFullTextLeft: false,
    });
    expect(fingerprintOf(join(root, 'rows'))).toEqual(before);
  });

  test('names the damaged database', async () => {
    const dir = makeDirectory('damaged');
    makeDatabase(join(dir, 'bad.db'), 'CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(20000))');
    writeFileSync(join(dir, 'bad.db'), Buffer.from('x'), { flag: 'r+' });
    makeDatabase(join(dir, 'torn.db'), 'CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(20000))');
    const torn = new Uint8Array(4096).fill(0xff);
    const { openSync, writeSync, closeSync } = await import('node:fs');
    const fd = openSync(join(dir, 'torn.db'), 'r+');
    writeSync(fd, torn, 0, 4096, 4096);
    closeSync(fd);
    const { damage } = await inspectSqlite(dir, { level: 'quick' });
    expect(damage.map(({ where }) => where)).toEqual(['torn.db']);
  });

  test('isSqliteFile goes by the first bytes', async () => {
    const dir = makeDirectory('magic');
    makeDatabase(join(dir, 'a'), 'CREATE TABLE t (x)');
    writeFileSync(join(dir, 'b'), 'SQLite format 3');
    writeFileSync(join(dir, 'c'), '');
    expect([
      await isSqliteFile(join(dir, 'a')),
      await isSqliteFile(join(dir, 'b')),
      await isSqliteFile(join(dir, 'c')),
    ]).toEqual([true, false, false]);
  });
});

describe('what each level finds', () => {
  const levels = ['proven', 'quick', 'full'] as const;
  const findingLevels = async (dir: string): Promise<readonly string[]> => {
    const found: string[] = [];
    for (const level of levels) {
      const { damage, findings } = await inspectSqlite(dir, { level });
      if (damage.length + findings.length > 0) found.push(level);
    }
    return found;
  };
  const rows = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)';

  test.each([
    ['t', 'CREATE TABLE t (x)', 'INSERT INTO t SELECT randomblob(100) FROM n'],
    ['i', 'CREATE TABLE t (x); CREATE INDEX i ON t (x)', 'INSERT INTO t SELECT randomblob(100) FROM n'],
    ['f_data', 'CREATE VIRTUAL TABLE f USING fts5(x)', 'INSERT INTO f SELECT hex(randomblob(40)) FROM n'],
  ])('a damaged page of %s is found by all', async (tree, schema, insert) => {
    const dir = makeDirectory(`page of ${tree}`);
    const path = join(dir, 'a.db');
    makeDatabase(path, `${schema}; ${rows} ${insert}`);
    expect(await findingLevels(dir)).toEqual([]);
    const db = new Database(path);
    const rootPage = db
      .prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?')
      .pluck()
      .get(tree) as number;
    const pageBytes = db.pragma('page_size', { simple: true }) as number;
    db.close();
    const bytes = readFileSync(path);
    bytes.fill(0xa5, (rootPage - 1) * pageBytes + 8, (rootPage - 1) * pageBytes + 64);
    writeFileSync(path, bytes);
    expect(await findingLevels(dir)).toEqual(levels);
  });

  test('a full-text index that does not fit its texts is found where bytes are not proven', async () => {
    const dir = makeDirectory('full text');
    makeDatabase(
      join(dir, 'a.db'),
      `CREATE VIRTUAL TABLE f USING fts5(x); ${rows} INSERT INTO f SELECT i FROM n`,
    );
    expect(await findingLevels(dir)).toEqual([]);
    const db = new Database(join(dir, 'a.db'));
    db.unsafeMode().exec("UPDATE f_content SET c0 = 'another' WHERE id = 7");
    db.close();
    expect(await findingLevels(dir)).toEqual(['quick', 'full']);
  });
});

test('a plain directory counts files and finds nothing wrong', async () => {
  const dir = makeDirectory('files/sub');
  writeFileSync(join(dir, 'one'), '');
  writeFileSync(join(root, 'files', 'two'), '2');
  expect(await filesKind.inspect(join(root, 'files'), { level: 'full' })).toEqual({
    damage: [],
    findings: [],
    statistics: { records: 2 },
  });
});

async function waitUntil(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
