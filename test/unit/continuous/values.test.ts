import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { operationOf, rowOf } from '../../../src/stores/chroma/log/queue-row.ts';
import { fromJson, toJson } from '../../../src/stores/chroma/log/values.ts';

/** A value as SQL, what it is in a line, and what a copy holds: its type and its bytes. */
function copied(sql: string): { readonly json: unknown; readonly was: unknown; readonly is: unknown } {
  const db = new Database(':memory:');
  db.exec('CREATE TABLE t (a, i INTEGER, r REAL, s TEXT)');
  for (const column of ['a', 'i', 'r', 's']) db.exec(`INSERT INTO t (${column}) VALUES (${sql})`);
  const told = 'SELECT typeof(a), hex(a), i, hex(i), r, typeof(r), hex(s), typeof(s) FROM t ORDER BY rowid';
  const was = db.prepare(told).raw().all();
  const rows = db.prepare('SELECT * FROM t').raw().safeIntegers().all() as unknown[][];
  const lines = rows.map((row) => JSON.stringify(row.map(toJson)));
  db.exec('DELETE FROM t');
  for (const line of lines)
    db.prepare('INSERT INTO t VALUES (?, ?, ?, ?)').run(...(JSON.parse(line) as unknown[]).map(fromJson));
  const is = db.prepare(told).raw().all();
  db.close();
  return { json: (JSON.parse(lines[0] ?? '[]') as unknown[])[0], was, is };
}

describe('a value of SQLite', () => {
  it.each<[string, unknown]>([
    ['NULL', null],
    ["''", ''],
    ["'a' || char(0) || 'b'", 'a\0b'],
    ["'line' || char(10) || 'other' || char(8232)", 'line\nother\u2028'],
    ["x''", { blob: '' }],
    ["x'00ff7b5b0a'", { blob: '00ff7b5b0a' }],
    ['9007199254740993', { integer: '9007199254740993' }],
    ['-9223372036854775808', { integer: '-9223372036854775808' }],
    ['9223372036854775807', { integer: '9223372036854775807' }],
    ['0.1', 0.1],
    ['-1.5e300', -1.5e300],
    ['9e999', { real: 'Infinity' }],
    ['-9e999', { real: '-Infinity' }],
  ])('%s is copied exactly', (sql, json) => {
    const { was, is, ...told } = copied(sql);
    expect(told).toEqual({ json });
    expect(is).toEqual(was);
  });

  it.each([
    { blob: '0' },
    { blob: 'zz' },
    { integer: '1e3' },
    { integer: '' },
    { real: 'NaN' },
    {},
    true,
    [],
    { integer: '99999999999999999999' },
  ])('is none of SQLite’s: %j', (value) => {
    expect(() => fromJson(value)).toThrow(TypeError);
  });

  it('stays on one line in a row, whatever is in it', () => {
    const row = [7n, '2026', 2n, 'p://t/n/c', 'id\n\r', Buffer.from('\n'), 'FLOAT32', '{"a":"\n"}'];
    const { number, text } = operationOf(row);
    expect({ number, lines: text.split('\n').length, begin: text[0] }).toEqual({
      number: 7,
      lines: 1,
      begin: '[',
    });
    expect(operationOf(rowOf(text)).text).toBe(text);
  });
});
