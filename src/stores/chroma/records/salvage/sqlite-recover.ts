import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { recordTables, tolerate } from './readable-copy.ts';

/**
 * Adds the rows that SQLite's own shell can still find in a damaged database (`.recover`): it reads pages that no other page leads to
 * any more. Says in one sentence what came of it.
 */
export function addRecovered(path: string, copy: Database.Database, scratchPath: string): string {
  const from = spawnSync('sqlite3', ['-readonly', path, '.recover --ignore-freelist'], {
    maxBuffer: 2 ** 31 - 1,
    timeout: 600_000,
  });
  if (from.error !== undefined)
    return "SQLite's shell (sqlite3) is not installed, so its .recover was not tried";
  if (from.stdout.length === 0)
    return `SQLite's .recover is not usable here: ${from.stderr.toString().trim()}`;
  const to = spawnSync('sqlite3', [scratchPath], { input: from.stdout, timeout: 600_000 });
  if (to.error !== undefined) return `SQLite's .recover failed: ${to.error.message}`;
  const recovered = tolerate(() => new Database(scratchPath, { readonly: true, fileMustExist: true }));
  if (recovered === undefined) return "SQLite's .recover found nothing";
  try {
    let rows = 0;
    for (const table of recordTables) rows += tolerate(() => addRows(recovered, copy, table)) ?? 0;
    return `SQLite's .recover found ${rows} more rows`;
  } finally {
    recovered.close();
    rmSync(scratchPath, { force: true });
  }
}

function addRows(from: Database.Database, to: Database.Database, table: string): number {
  const isThere = to.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(table);
  if (isThere === undefined) return 0;
  const rows = from.prepare(`SELECT rowid, * FROM "${table}" NOT INDEXED`).safeIntegers().raw();
  const columns = rows.columns().map(({ name }) => name);
  const names = ['rowid', ...columns.slice(1).map((name) => `"${name}"`)].join(', ');
  const insert = to.prepare(
    `INSERT OR IGNORE INTO "${table}" (${names}) VALUES (${columns.map(() => '?').join(', ')})`,
  );
  let added = 0;
  to.transaction(() => {
    for (const row of rows.iterate()) added += insert.run(row).changes;
  })();
  return added;
}
