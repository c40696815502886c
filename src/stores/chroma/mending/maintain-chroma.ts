import { renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SyncAgentError, throwIfAborted } from '../../../platform/errors.ts';
import type { Maintained, MaintainOptions, MaintenanceEstimate } from '../../mending.ts';
import { openDatabaseAsItLies } from '../../sqlite/crashed-database.ts';
import { countPurgeable, purgeQueue } from './purge-queue.ts';

const databaseName = 'chroma.sqlite3';
const fullTextTable = 'embedding_fulltext_search';

/** What maintenance would gain, by SQLite's own book-keeping. */
export function estimateMaintenance(dir: string, scratch: string): MaintenanceEstimate {
  const path = join(dir, databaseName);
  const image = openDatabaseAsItLies(path, databaseName, scratch);
  if (typeof image === 'string') {
    throw new SyncAgentError('STORE_CORRUPT', `Cannot maintain "${dir}": ${image}`, {
      remedy: '"sync-agent repair --dry-run" says what can be mended',
    });
  }
  const { db } = image;
  try {
    const pragma = (name: string): unknown => db.pragma(name, { simple: true });
    return {
      bytes: statSync(path).size,
      freeBytes: Number(pragma('freelist_count')) * Number(pragma('page_size')),
      slackBytes: Number(db.prepare('SELECT total(unused) FROM dbstat WHERE aggregate = 1').pluck().get()),
      purgeable: countPurgeable(db),
      journalMode: String(pragma('journal_mode')),
    };
  } finally {
    image.close();
  }
}

/**
 * Maintains the database of a copy: removes queued operations that nobody needs, merges the full-text index, counts for SQLite's
 * query planner, and writes the file without gaps.
 */
export function maintainChroma(dir: string, { journalMode, signal }: MaintainOptions): Maintained {
  const path = join(dir, databaseName);
  const next = `${path}-anew`;
  const db = new Database(path, { fileMustExist: true });
  try {
    const mode = journalMode ?? String(db.pragma('journal_mode', { simple: true }));
    const purgedOperations = purgeQueue(db);
    throwIfAborted(signal, `Maintaining "${dir}"`);
    db.exec(`INSERT INTO ${fullTextTable} (${fullTextTable}) VALUES ('optimize')`);
    db.exec('ANALYZE');
    // Not VACUUM: that keeps its copy where the system has temporary files, and writes everything twice.
    rmSync(next, { force: true });
    db.prepare('VACUUM INTO ?').run(next);
    db.close();
    for (const end of ['-journal', '-wal', '-shm']) rmSync(path + end, { force: true });
    renameSync(next, path);
    return { purgedOperations, journalMode: withJournalMode(path, mode) };
  } finally {
    db.close();
    rmSync(next, { force: true });
  }
}

/** It is kept in the file, and holds for every program that opens it. */
function withJournalMode(path: string, mode: string): string {
  const db = new Database(path, { fileMustExist: true });
  try {
    return String(db.pragma(`journal_mode = ${mode === 'wal' ? 'wal' : 'delete'}`, { simple: true }));
  } finally {
    db.close();
  }
}
