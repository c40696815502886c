import type { RecordLoss, RecordSource, RecordSourceOptions, SourceRecord } from '../../../record-source.ts';
import { seqIdOf } from '../../sysdb.ts';
import { vectorsOf } from '../collection-vectors.ts';
import type { CollectionVectors } from '../collection-vectors.ts';
import { foldersSource } from './folders-source.ts';
import type { FoundVector } from '../index-vectors.ts';
import { readRecordTexts } from '../metadata-rows.ts';
import { documentKey } from '../metadata-text.ts';
import { salvageDatabase } from './salvage-database.ts';
import type { SalvagedDatabase } from './salvage-database.ts';
import { sourceOfCollections } from '../source-of-collections.ts';
import { readStoredCollections } from '../stored-collection.ts';
import type { StoredCollection } from '../stored-collection.ts';
import { makeRecord } from '../stored-record.ts';

/** What a damaged directory still yields. Each loss is told while the records of its collection are read. */
export function salvageSource(
  dir: string,
  { scratch, onLoss = () => undefined, onNotice = () => undefined }: RecordSourceOptions,
): RecordSource {
  const salvaged = salvageDatabase(dir, scratch, onNotice);
  if (salvaged === undefined) return foldersSource(dir, { onLoss, onNotice });
  const { db, damaged } = salvaged;
  const wholes = ['collections', 'segments', 'databases'].filter((table) => damaged.has(table));
  if (wholes.length > 0)
    onLoss(
      unknownLoss(
        `rows of ${wholes.join(' and ')} may be lost, and whole collections with them`,
        ['collection'],
        null,
      ),
    );
  return sourceOfCollections({
    dir,
    db,
    collections: readStoredCollections(db, { isSegmentMetadataLost: damaged.has('segment_metadata') }),
    read: function* (collection) {
      const vectors = vectorsOf(db, dir, collection, {
        isSalvage: true,
        isDatabaseWhole: damaged.size === 0,
      });
      try {
        yield* salvageCollection(salvaged, collection, vectors, onLoss);
      } finally {
        vectors.close();
      }
    },
    close: () => salvaged.close(),
  });
}

/** What may be missing of unknown records with a row of a table. */
const unnamedLosses = {
  embeddings: ['record'],
  embedding_metadata: ['document', 'metadata'],
  embeddings_queue: ['record'],
  max_seq_id: ['record'],
  collection_metadata: ['collection'],
  segment_metadata: ['length'],
  embedding_metadata_array: ['metadata'],
} as const;

/** Every record of which something is left, and a loss for each thing that is not. */
function* salvageCollection(
  { db, lost }: SalvagedDatabase,
  collection: StoredCollection,
  vectors: CollectionVectors,
  onLoss: (loss: RecordLoss) => void,
): Generator<SourceRecord> {
  const lossOf = (id: string | null, missing: readonly string[], message: string): void =>
    onLoss({ collection: collection.name, database: collection.database, id, missing, message });
  for (const [table, missing] of Object.entries(unnamedLosses))
    if (lost.unnamed.has(table))
      lossOf(null, missing, `rows of "${table}" may be lost, and nobody knows which`);
  for (const problem of vectors.problems) lossOf(null, [], problem);
  if (vectors.mayBeOld)
    lossOf(null, ['newer'], 'the elements of the vector index may be of another time: vectors that were changed since are old ones'); // prettier-ignore
  const lostKeys = keysById(db, collection, lost.texts);
  const isStale = staleness(db, collection);
  const seen = new Set<string>();
  for (const record of readRecordTexts(db, collection)) {
    const { id } = record;
    seen.add(id);
    const missing: string[] = [];
    const why: string[] = [];
    const keys = lostKeys.get(id) ?? [];
    if (keys.includes(documentKey)) missing.push('document');
    const others = keys.filter((key) => key !== documentKey);
    if (others.length > 0) {
      missing.push('metadata');
      why.push(`its metadata lacks ${others.map((key) => JSON.stringify(key)).join(', ')}`);
    }
    const found: FoundVector = isStale(id)
      ? { vector: null, problem: 'the queue lost the last write of it' }
      : vectors.vectorOf(id);
    if (found.vector === null) missing.push('embedding');
    else if (found.isWithoutLength === true) missing.push('length');
    if (found.problem !== undefined) why.push(found.problem);
    else if (found.vector === null) why.push('neither the index nor the queue has a vector of it');
    if (missing.length > 0) lossOf(id, missing, why.join('; ') || 'its document is lost');
    yield makeRecord(id, found.vector, record);
  }
  for (const id of vectors.ids()) {
    if (seen.has(id)) continue;
    const { vector, problem } = vectors.vectorOf(id);
    lossOf(
      id,
      vector === null ? ['record'] : ['document', 'metadata'],
      problem ?? 'only the vector index has it: its other parts are lost, or it was deleted',
    );
    if (vector !== null) yield makeRecord(id, vector, { texts: new Map() });
  }
}

/** Which keys each record lost. */
function keysById(
  db: SalvagedDatabase['db'],
  collection: StoredCollection,
  lost: SalvagedDatabase['lost']['texts'],
): ReadonlyMap<string, readonly string[]> {
  const keys = new Map<string, string[]>();
  if (lost.length === 0) return keys;
  const idOf = db.prepare('SELECT embedding_id FROM embeddings WHERE id = ? AND segment_id = ?').pluck();
  for (const { number, key } of lost) {
    const id = idOf.get(number, collection.metadataSegment?.id ?? '');
    if (typeof id !== 'string') continue;
    const list = keys.get(id) ?? [];
    list.push(key);
    keys.set(id, list);
  }
  return keys;
}

/**
 * Whether the last write of a record is newer than its index and no longer in the queue: then its vector is an old one, or there is none.
 */
function staleness(
  db: SalvagedDatabase['db'],
  { metadataSegment, vectorSegment, id: collectionId }: StoredCollection,
): (id: string) => boolean {
  const indexedUpTo = vectorSegment?.maxSeqId ?? 0;
  const written = db
    .prepare('SELECT seq_id FROM embeddings WHERE segment_id = ? AND embedding_id = ?')
    .pluck();
  const queued = db
    .prepare("SELECT 1 FROM embeddings_queue WHERE seq_id = ? AND topic LIKE '%/' || ?")
    .pluck();
  return (id) => {
    const seqId = seqIdOf(written.get(metadataSegment?.id ?? '', id)) ?? 0;
    // Before 0.5.6 the pickle says what is indexed, and nothing is purged.
    if (indexedUpTo === 0 || seqId <= indexedUpTo) return false;
    return queued.get(seqId, collectionId) === undefined;
  };
}

const unknownLoss = (message: string, missing: readonly string[], collection: string | null): RecordLoss => ({
  collection,
  database: null,
  id: null,
  missing,
  message,
});
