import type Database from 'better-sqlite3';
import { join } from 'node:path';
import { isSyncAgentError } from '../../../platform/errors.ts';
import type { DescribedCollection } from '../../reading.ts';
import { readHnswHeader } from '../index/hnsw-header.ts';
import { hasIndexMetadata, readPersistedIds } from '../index/persisted-index.ts';
import { readQueueTopics } from '../queue.ts';
import { at, parse } from '../records/json-path.ts';
import type { StoredCollection } from '../records/stored-collection.ts';
import type { SegmentFacts } from '../sysdb.ts';

export interface Found {
  readonly stored: readonly StoredCollection[];
  /** The bytes of each folder of an index, by its name. */
  readonly folders: ReadonlyMap<string, number>;
}

export function describeCollections(
  db: Database.Database,
  dir: string,
  { stored, folders }: Found,
): readonly DescribedCollection[] {
  const counted = db.prepare('SELECT segment_id, count(*) FROM embeddings GROUP BY segment_id').raw().all();
  const records = new Map(counted as [string, number][]);
  const applied = new Map(stored.map(({ id, vectorSegment }) => [id, appliedUpTo(dir, vectorSegment)]));
  const topics = readQueueTopics(db, (id) => applied.get(id) ?? 0);
  return stored.map((collection) => {
    const { id, tenant, database, name, dimension, space, metadataSegment, vectorSegment } = collection;
    return {
      id,
      tenant,
      database,
      name,
      records: records.get(metadataSegment?.id ?? '') ?? 0,
      dimension,
      space,
      parameters: parametersOf(collection),
      pending: topics.get(id)?.pending ?? 0,
      metadataSegment:
        metadataSegment === undefined
          ? null
          : { id: metadataSegment.id, appliedUpTo: metadataSegment.maxSeqId },
      vectorSegment:
        vectorSegment === undefined
          ? null
          : {
              id: vectorSegment.id,
              appliedUpTo: applied.get(id) ?? null,
              bytes: folders.get(vectorSegment.id) ?? null,
              elements: elementsOf(dir, vectorSegment.id),
            },
    };
  });
}

/** Before 0.5.6 only the pickle says how far an index goes. Null if it was never persisted. */
function appliedUpTo(dir: string, segment: SegmentFacts | undefined): number | null {
  if (segment === undefined || segment.maxSeqId !== null) return segment?.maxSeqId ?? null;
  const folder = { dir, segmentId: segment.id };
  return hasIndexMetadata(folder)
    ? unlessDamaged(() => readPersistedIds(folder, () => undefined).maxSeqId)
    : null;
}

/** Null if there is no sound header: the index was never persisted, or `check` says what is wrong. */
function elementsOf(dir: string, segmentId: string): number | null {
  const label = `${segmentId}/header.bin`;
  return unlessDamaged(() => readHnswHeader(join(dir, label), label).count);
}

function unlessDamaged<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (isSyncAgentError(error, 'STORE_CORRUPT')) return null;
    throw error;
  }
}

/** The numbers of the index's configuration, as the store's version of Chroma names them. */
function parametersOf({ configuration, schema, maxNeighbors }: StoredCollection): Record<string, number> {
  const found: Record<string, number> = {};
  const collect = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, each] of Object.entries(value)) if (typeof each === 'number') found[key] ??= each;
  };
  const ofConfiguration = parse(configuration);
  const ofSchema = at(parse(schema), 'keys', '#embedding', 'float_list', 'vector_index', 'config');
  for (const key of ['hnsw', 'hnsw_configuration']) {
    collect(at(ofSchema, key));
    collect(at(ofConfiguration, key));
  }
  return { max_neighbors: maxNeighbors, ...found };
}
