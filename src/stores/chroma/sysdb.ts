import type Database from 'better-sqlite3';

/** How the distance of two vectors is measured. */
export type Space = 'l2' | 'cosine' | 'ip';

/** What `chroma.sqlite3` says of one collection. */
export interface CollectionFacts {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly database: string;
  readonly dimension: number | null;
  readonly vectorSegment: SegmentFacts | undefined;
  readonly metadataSegment: SegmentFacts | undefined;
  /** Undefined if nobody looked. */
  readonly space?: Space;
}

export interface SegmentFacts {
  readonly id: string;
  readonly type: string;
  /** The newest operation the segment has applied, null while there is no row. */
  readonly maxSeqId: number | null;
}

/** The only kind of vector segment that has files (rust/types/src/segment.rs, SegmentType). */
export const persistedType = 'urn:chroma:segment/vector/hnsw-local-persisted';

/** The tables every version since 0.4 has. */
const neededTables = ['collections', 'segments', 'max_seq_id', 'embeddings', 'embeddings_queue'] as const;

/** The tables a Chroma database should have and this one has not. */
export function missingTables(db: Database.Database): readonly string[] {
  const found = new Set(db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all());
  return neededTables.filter((name) => !found.has(name));
}

/**
 * The collections with their two segments, in the order of their names. Before sysdb migration 4 there were no
 * databases and tenants (chromadb/migrations/sysdb): what is now named default then was all there was.
 */
export function readCollections(db: Database.Database): CollectionFacts[] {
  const columns = new Set(db.prepare("SELECT name FROM pragma_table_info('collections')").pluck().all());
  const sql = columns.has('database_id')
    ? 'SELECT c.id, c.name, c.dimension, d.name AS database, d.tenant_id AS tenant FROM collections c LEFT JOIN databases d ON d.id = c.database_id'
    : `SELECT id, name, ${columns.has('dimension') ? 'dimension' : 'NULL AS dimension'}, NULL AS database, NULL AS tenant FROM collections`;
  const segments = db.prepare(
    'SELECT s.id, s.type, s.scope, m.seq_id AS seqId FROM segments s LEFT JOIN max_seq_id m ON m.segment_id = s.id WHERE s.collection = ?',
  );
  const collections = (db.prepare(sql).all() as Record<string, unknown>[]).map((row) => {
    const found = segments.all(row['id']) as Record<string, unknown>[];
    return {
      id: textOf(row['id']) ?? '',
      name: textOf(row['name']) ?? '',
      tenant: textOf(row['tenant']) ?? 'default_tenant',
      database: textOf(row['database']) ?? 'default_database',
      dimension: typeof row['dimension'] === 'number' ? row['dimension'] : null,
      vectorSegment: segmentOf(found, 'VECTOR'),
      metadataSegment: segmentOf(found, 'METADATA'),
    };
  });
  return collections.toSorted(
    (a, b) => compare(a.name, b.name) || compare(a.tenant, b.tenant) || compare(a.database, b.database),
  );
}

function segmentOf(rows: readonly Record<string, unknown>[], scope: string): SegmentFacts | undefined {
  const row = rows.find((each) => each['scope'] === scope);
  return (
    row && { id: textOf(row['id']) ?? '', type: textOf(row['type']) ?? '', maxSeqId: seqIdOf(row['seqId']) }
  );
}

/**
 * A sequence id as stored: an integer, or 8 bytes big-endian where Python wrote it (chromadb 0.4, segment/impl/metadata/sqlite.py, _encode_seq_id).
 * Null for anything else.
 */
export function seqIdOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  return Buffer.isBuffer(value) && value.length === 8 ? Number(value.readBigInt64BE(0)) : null;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
