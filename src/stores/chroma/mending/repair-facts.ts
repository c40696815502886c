import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { throwIfAborted } from '../../../platform/errors.ts';
import type { Problem, Verdict } from '../../adapter.ts';
import type { PlanRepairOptions } from '../../mending.ts';
import { openDatabaseAsItLies } from '../../sqlite/crashed-database.ts';
import { inspectChroma } from '../inspect-chroma.ts';
import { readQueueTopics } from '../queue.ts';
import { persistedType } from '../sysdb.ts';
import { indexFiles } from '../unfinished-indexes.ts';
import { collectVectors } from './collect-vectors.ts';
import type { VectorSources } from './collect-vectors.ts';
import { readStoredCollections } from '../records/stored-collection.ts';
import { countOrphanRows } from './orphan-rows.ts';

/** What a repair of a Chroma store is planned from. Plain data. */
export interface RepairFacts {
  readonly verdict: Verdict;
  readonly records: number;
  readonly collections: readonly CollectionTrouble[];
  readonly orphans: Orphans;
}

/** A collection with which something is wrong. */
export interface CollectionTrouble {
  readonly id: string;
  readonly name: string;
  readonly problems: readonly Problem[];
  /** Set if the queue ends before what was applied already: the last operation that was. */
  readonly queueEndsBefore: number | undefined;
  /** Undefined if the queue has to be continued first, and if its index is of a kind without files. */
  readonly vectors: VectorSources | undefined;
}

/** What belongs to no collection. */
export interface Orphans {
  /** Folders of vector indexes, with their bytes. */
  readonly folders: readonly { readonly name: string; readonly bytes: number }[];
  /** Rows, by their table. */
  readonly rows: readonly { readonly table: string; readonly count: number }[];
}

const databaseName = 'chroma.sqlite3';
const none: Orphans = { folders: [], rows: [] };

/** Looks at everything that a repair is decided by, without changing a byte. */
export async function readRepairFacts(dir: string, options: PlanRepairOptions): Promise<RepairFacts> {
  const { scratch, databases, exclude, signal } = options;
  const report = await inspectChroma(dir, { level: 'full', scratch, databases, exclude, signal });
  const { damage, findings } = report;
  const facts = {
    verdict: { damage, findings },
    records: report.statistics.records,
    collections: [],
    orphans: none,
  };
  const isReadable = [...damage, ...findings].every(
    ({ kind }) => !['database', 'schema', 'index'].includes(kind),
  );
  const image = isReadable ? openDatabaseAsItLies(join(dir, databaseName), databaseName, scratch) : '';
  if (typeof image === 'string') return facts;
  try {
    throwIfAborted(signal, `Inspecting "${dir}"`);
    const { db } = image;
    return {
      ...facts,
      collections: troubles(db, dir, damage),
      orphans: { folders: orphanFolders(db, dir), rows: countOrphanRows(db) },
    };
  } finally {
    image.close();
  }
}

function troubles(db: Database.Database, dir: string, problems: readonly Problem[]): CollectionTrouble[] {
  const topics = readQueueTopics(db, () => undefined);
  return readStoredCollections(db).flatMap((stored) => {
    const { id, name, vectorSegment, metadataSegment } = stored;
    const own = problems.filter(({ collection }) => collection === id);
    if (own.length === 0) return [];
    const applied = Math.max(vectorSegment?.maxSeqId ?? 0, metadataSegment?.maxSeqId ?? 0);
    const isBehind = (topics.get(id)?.lastSeqId ?? 0) < applied;
    const vectors =
      isBehind || vectorSegment?.type !== persistedType ? undefined : collectVectors(db, dir, stored);
    return [{ id, name, problems: own, queueEndsBefore: isBehind ? applied : undefined, vectors }];
  });
}

const segmentName = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Folders that are named as those of vector indexes, hold nothing else, and are of no segment of a collection. */
function orphanFolders(db: Database.Database, dir: string): Orphans['folders'] {
  const live = new Set(
    db.prepare('SELECT id FROM segments WHERE collection IN (SELECT id FROM collections)').pluck().all(),
  );
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && segmentName.test(entry.name) && !live.has(entry.name))
    .map(({ name }) => ({ name, files: readdirSync(join(dir, name)) }))
    .filter(({ files }) => files.every((file) => indexFiles.includes(file)))
    .map(({ name, files }) => ({
      name,
      bytes: files.reduce((sum, file) => sum + statSync(join(dir, name, file)).size, 0),
    }));
}
