import type Database from 'better-sqlite3';
import { hashId, newIdHash } from './id-multiset.ts';
import { readPersistedIds } from './index/persisted-index.ts';
import type { IndexFolder } from './index/persisted-index.ts';

const bloomBytesMax = 16 * 2 ** 20;
const bloomHashes = 3;

export interface DifferingIds {
  readonly onlyRecords: string[];
  readonly onlyIndex: string[];
}

/**
 * Names a few untouched ids that only one side has, after their hashes were found to differ. The index's ids are
 * looked up in SQLite one by one and remembered in a Bloom filter of at most 16 MiB; a record whose id is not in
 * the filter is certainly not in the index, though in a very large store some such ids hide behind false hits.
 */
export function findDifferingIds(
  db: Database.Database,
  options: {
    readonly folder: IndexFolder | undefined;
    readonly metadataSegment: string;
    readonly ids: number;
  },
  isTouched: (id: Buffer) => boolean,
  limit: number,
): DifferingIds {
  const found: DifferingIds = { onlyRecords: [], onlyIndex: [] };
  const bloom = new Uint8Array(Math.min(bloomBytesMax, 1024 + 2 * options.ids));
  const hash = newIdHash();
  const bitOf = (i: number): number => (hash[i] as number) % (bloom.length * 8);
  if (options.folder !== undefined) {
    const isRecord = db
      .prepare('SELECT 1 FROM embeddings WHERE segment_id = ? AND embedding_id = CAST(? AS TEXT)')
      .pluck();
    readPersistedIds(options.folder, (bytes, start, end) => {
      hashId(bytes, start, end, hash);
      for (let i = 0; i < bloomHashes; i++) (bloom[bitOf(i) >>> 3] as number) |= 1 << (bitOf(i) & 7);
      if (found.onlyIndex.length >= limit) return;
      const id = Buffer.from(bytes.subarray(start, end));
      if (!isTouched(id) && isRecord.get(options.metadataSegment, id) === undefined)
        found.onlyIndex.push(id.toString());
    });
  }
  const records = db
    .prepare('SELECT CAST(embedding_id AS BLOB) FROM embeddings WHERE segment_id = ?')
    .pluck();
  for (const row of records.iterate(options.metadataSegment)) {
    const id = row as Buffer;
    hashId(id, 0, id.length, hash);
    let isIndexed = true;
    for (let i = 0; i < bloomHashes; i++)
      isIndexed &&= ((bloom[bitOf(i) >>> 3] as number) & (1 << (bitOf(i) & 7))) !== 0;
    if (!isIndexed && !isTouched(id)) found.onlyRecords.push(id.toString());
    if (found.onlyRecords.length >= limit) break;
  }
  return found;
}
