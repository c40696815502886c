import type Database from 'better-sqlite3';
import { isSyncAgentError } from '../../platform/errors.ts';
import { labelOf } from '../../log/manifest.ts';
import type { CollectionStatistics } from '../adapter.ts';
import { findDifferingIds } from './differing-ids.ts';
import { IdLedger } from './id-ledger.ts';
import type { IndexMetadata } from './index/index-metadata.ts';
import { checkPersistedIndex, hasIndexMetadata, readPersistedIds } from './index/persisted-index.ts';
import type { IndexFolder } from './index/persisted-index.ts';
import { readQueueTopics, replayQueue } from './queue.ts';
import type { QueueTopic } from './queue.ts';
import { readRecords } from './records.ts';
import type { RecordReader } from './records.ts';
import { persistedType } from './sysdb.ts';
import type { CollectionFacts } from './sysdb.ts';
import { findKnownVector } from './known-vector.ts';

/** Pending operations whose ids are held at a time; about 100 bytes each. */
const pendingPerGroup = 100_000;
const namedIds = 3;

/** A collection while it is judged. */
interface Case {
  readonly facts: CollectionFacts;
  /** Undefined when nothing was ever persisted, or the metadata is gone. */
  readonly folder: IndexFolder | undefined;
  readonly ledger: IdLedger;
  readonly topic: QueueTopic | undefined;
  readonly problems: string[];
}

export interface CollectionReport {
  readonly problems: readonly string[];
  readonly statistics: CollectionStatistics;
}

/**
 * Judges every collection: that the five files of its index are whole, and that they, the records and the queue
 * are of one time. Collections are taken in groups, so that the ids of pending operations stay within bounds.
 */
export function* judgeCollections(
  db: Database.Database,
  dir: string,
  collections: readonly CollectionFacts[],
): Generator<CollectionReport> {
  const openCases = collections.map((facts) => openCase(facts, dir));
  const ledgers = new Map(openCases.map((each) => [each.facts.id, each.ledger]));
  const topics = readQueueTopics(db, (id) => ledgers.get(id)?.settledUpTo);
  const cases = openCases.map((each) => ({ ...each, topic: topics.get(each.facts.id) }));
  for (const group of groupsOf(cases)) {
    replayQueue(db, new Map(group.flatMap((each) => (each.topic ? [[each.topic.topic, each.ledger]] : []))));
    const readers = new Map<string, RecordReader>();
    for (const { facts, ledger, topic } of group) {
      const id = facts.metadataSegment?.id;
      if (id !== undefined) readers.set(id, { ledger, topic: topic?.topic, lost: 0, lostId: undefined });
    }
    readRecords(db, readers);
    for (const each of group) yield judge(db, each, readers.get(each.facts.metadataSegment?.id ?? ''));
  }
}

function judge(db: Database.Database, subject: Case, reader: RecordReader | undefined): CollectionReport {
  const { facts, ledger, topic } = subject;
  const problems = [...subject.problems];
  const lastSeqId = topic?.lastSeqId ?? 0;
  const writtenUpTo = Math.max(ledger.indexedUpTo, ledger.recordedUpTo);
  if (lastSeqId < writtenUpTo) {
    problems.push(
      `chroma.sqlite3: the queue ends at operation ${lastSeqId}, before ${writtenUpTo}, which was already applied`,
    );
  }
  if (reader !== undefined && reader.lost > 0) {
    problems.push(
      `chroma.sqlite3: the queue lacks the last operation of ${reader.lost} records that its index does not hold yet, such as ${quoted([reader.lostId ?? ''])}`,
    );
  }
  if (problems.length === 0) problems.push(...judgeIndex(db, subject));
  const { id, name, tenant, database, dimension } = facts;
  return {
    problems: problems.map((problem) => `Collection "${name}": ${problem}`),
    statistics: {
      id: labelOf(id),
      name: labelOf(name),
      tenant: labelOf(tenant),
      database: labelOf(database),
      records: ledger.count,
      dimension,
    },
  };
}

function judgeIndex(db: Database.Database, subject: Case): string[] {
  const { facts, folder, ledger, topic } = subject;
  const metadataSegment = facts.metadataSegment?.id ?? '';
  if (facts.vectorSegment?.type !== persistedType) return [];
  let metadata: IndexMetadata | undefined;
  if (folder !== undefined) {
    const { indexedUpTo } = ledger;
    const known = topic && findKnownVector(db, { topic: topic.topic, indexedUpTo, metadataSegment });
    try {
      metadata = checkPersistedIndex(folder, {
        dimension: facts.dimension,
        known: known && !ledger.isTouched(known.id) ? known : undefined,
        hasLengths: facts.space === 'cosine',
        visitId: (bytes, start, end) => ledger.indexed(bytes, start, end),
      });
    } catch (error) {
      return [problemOf(error)];
    }
  }
  if (metadata !== undefined && metadata.newestSeqId > (topic?.lastSeqId ?? 0)) {
    return [
      `the index in "${folder?.segmentId}" holds operation ${metadata.newestSeqId}, newer than chroma.sqlite3`,
    ];
  }
  const touched = ledger.touchedDifferences(namedIds);
  const untouched = ledger.untouchedAgree
    ? { onlyRecords: [], onlyIndex: [] }
    : findDifferingIds(
        db,
        { folder, metadataSegment, ids: metadata?.labels.count ?? 0 },
        (id) => ledger.isTouched(id),
        namedIds,
      );
  const onlyRecords = [...touched.onlyRecords, ...untouched.onlyRecords];
  const onlyIndex = [...touched.onlyIndex, ...untouched.onlyIndex];
  if (ledger.untouchedAgree && onlyRecords.length + onlyIndex.length === 0) return [];
  const details = [
    ...(onlyRecords.length > 0 ? [`only chroma.sqlite3 has ${quoted(onlyRecords)}`] : []),
    ...(onlyIndex.length > 0 ? [`only the index has ${quoted(onlyIndex)}`] : []),
  ];
  return [
    `chroma.sqlite3 and the index in "${facts.vectorSegment.id}" are not of one time${details.length > 0 ? `: ${details.join(', ')}` : ''}`,
  ];
}

/** Finds out up to which operation each segment was written. */
function openCase(facts: CollectionFacts, dir: string): Case {
  const problems: string[] = [];
  const vector = facts.vectorSegment;
  const recordedUpTo = Math.max(0, facts.metadataSegment?.maxSeqId ?? 0);
  let indexedUpTo = Math.max(0, vector?.maxSeqId ?? 0);
  let folder: IndexFolder | undefined;
  if (vector?.type === persistedType) {
    folder = { dir, segmentId: vector.id };
    if (!hasIndexMetadata(folder)) {
      // Chroma starts a new index over what is left in the folder, so the vectors are lost by the first count().
      if (indexedUpTo > 0)
        problems.push(
          `${vector.id}/index_metadata.pickle is missing, but the index was written up to operation ${indexedUpTo}`,
        );
      folder = undefined;
    } else if (vector.maxSeqId === null) {
      try {
        indexedUpTo = Math.max(0, readPersistedIds(folder, () => undefined).maxSeqId ?? 0);
      } catch (error) {
        problems.push(problemOf(error));
        // Not 0: a queue that was never purged would be pending as a whole.
        indexedUpTo = recordedUpTo;
      }
    }
  }
  const ledger = new IdLedger(indexedUpTo, recordedUpTo);
  return { facts, folder, ledger, topic: undefined, problems };
}

function* groupsOf(cases: readonly Case[]): Generator<readonly Case[]> {
  let group: Case[] = [];
  let pending = 0;
  for (const each of cases) {
    group.push(each);
    pending += each.topic?.pending ?? 0;
    if (pending < pendingPerGroup) continue;
    yield group;
    group = [];
    pending = 0;
  }
  if (group.length > 0) yield group;
}

function problemOf(error: unknown): string {
  if (isSyncAgentError(error, 'STORE_CORRUPT')) return error.message;
  throw error;
}

function quoted(ids: readonly string[]): string {
  return ids.slice(0, namedIds).map((id) => JSON.stringify(id.slice(0, 100))).join(', '); // prettier-ignore
}
