import type Database from 'better-sqlite3';

/** What the queue has of a collection after the operation that its index holds. */
export interface QueuedSince {
  readonly ids: ReadonlySet<string>;
  readonly hasDeletions: boolean;
}

export interface OrderFacts {
  readonly metadataSegment: string;
  /** Of the elements that are not deleted. */
  readonly labels: Iterable<number>;
  readonly since: QueuedSince;
  /** What is left of the pickle. */
  readonly known: ReadonlyMap<string, number>;
}

/**
 * The label of each record, without a whole pickle: Chroma since 1.0 numbers labels and rows in the order in which records come, so that
 * the n-th label belongs to the n-th row, and rows without a label came last. Undefined if that cannot be relied on here: an older
 * version wrote some of it, records were deleted since the index was persisted, or what is left of the pickle says otherwise.
 */
export function labelsByOrder(
  db: Database.Database,
  { metadataSegment, labels, since, known }: OrderFacts,
): ReadonlyMap<string, number> | undefined {
  const rows = db
    .prepare('SELECT embedding_id, typeof(seq_id) FROM embeddings WHERE segment_id = ? ORDER BY id')
    .raw()
    .all(metadataSegment) as [string, string][];
  const sorted = [...labels].toSorted((a, b) => a - b);
  const [indexed, newer] = [rows.slice(0, sorted.length), rows.slice(sorted.length)];
  const isOrdered =
    indexed.length === sorted.length &&
    !since.hasDeletions &&
    newer.every(([id]) => since.ids.has(id)) &&
    rows.every(([, type]) => type === 'integer');
  if (!isOrdered) return undefined;
  const names = new Map(indexed.map(([id], index) => [id, sorted[index] ?? 0]));
  return [...known].every(([id, label]) => names.get(id) === label) ? names : undefined;
}
