import { rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { throwIfAborted } from '../../../platform/errors.ts';
import type { MendOptions, PlanRepairOptions, RepairPlan, RepairStep } from '../../mending.ts';
import { writeDatabaseAnew } from '../../sqlite/mending/write-anew.ts';
import { continueQueue } from './continue-queue.ts';
import { rebuildIndex } from './rebuild-index.ts';
import { removeOrphanRows } from './orphan-rows.ts';
import { planRepair } from './plan-repair.ts';
import { readRepairFacts } from './repair-facts.ts';

const databaseName = 'chroma.sqlite3';

/** Chroma keeps every text in `embedding_metadata`, too (rust/segment/src/sqlite_metadata.rs, add_record). */
const fullText = new Map([
  [
    'embedding_fulltext_search',
    "INSERT INTO main.embedding_fulltext_search (rowid, string_value) SELECT id, string_value FROM main.embedding_metadata WHERE key = 'chroma:document' AND string_value IS NOT NULL",
  ],
]);

export async function planChromaRepair(dir: string, options: PlanRepairOptions): Promise<RepairPlan> {
  return planRepair(await readRepairFacts(dir, options), options.allowed);
}

/** Carries out one step on a copy of the store. */
export async function repairChroma(dir: string, step: RepairStep, { signal }: MendOptions): Promise<void> {
  throwIfAborted(signal, `Repairing "${dir}"`);
  const path = join(dir, databaseName);
  switch (step.type) {
    case 'database':
      return writeDatabaseAnew(path, { label: databaseName, fill: fullText });
    case 'queue':
      return withDatabase(path, (db) => continueQueue(db, step.target));
    case 'vector-index':
      return withDatabase(path, (db) => rebuildIndex(db, dir, step.target));
    case 'orphans':
      withDatabase(path, removeOrphanRows);
      for (const name of JSON.parse(step.target) as string[]) rmSync(join(dir, name), { recursive: true });
      return;
    default:
      return step.type satisfies never;
  }
}

function withDatabase(path: string, work: (db: Database.Database) => void): void {
  const db = new Database(path, { fileMustExist: true });
  try {
    work(db);
  } finally {
    db.close();
  }
}
