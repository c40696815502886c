import type Database from 'better-sqlite3';
import { tolerate } from './readable-copy.ts';

/** A value of a record that its table lost. `number` is the record's in `embeddings`. */
export interface LostText {
  readonly number: number;
  readonly key: string;
}

/** Tables with an index that has a name for each row. */
const namedByIndex: ReadonlySet<string> = new Set(['embeddings', 'embedding_metadata']);

/** What tables lost that no index gave back. */
export interface LostRows {
  /** The values that are known to be lost. */
  readonly texts: readonly LostText[];
  /** Tables that may have lost more, of which nobody knows: no index names their rows, or it is damaged as well. */
  readonly unnamed: ReadonlySet<string>;
}

/**
 * Adds what ordinary indexes say of rows that their tables lost: an index holds the columns that it sorts. That of `embeddings` has all of
 * a row that matters, so no record is lost with a page of it; those of `embedding_metadata` have ids, keys and most values; and the
 * full-text index keeps a copy of each document.
 */
export function addFromIndexes(
  from: Database.Database,
  to: Database.Database,
  damaged: ReadonlySet<string>,
): LostRows {
  const unnamed = new Set([...damaged].filter((table) => !namedByIndex.has(table)));
  if (damaged.has('embeddings') && tolerate(() => (addEmbeddings(from, to), true)) === undefined)
    unnamed.add('embeddings');
  if (!damaged.has('embedding_metadata')) return { texts: [], unnamed };
  const lost: FoundText[] = [];
  if (tolerate(() => (findLostTexts(from, to, lost), true)) === undefined) unnamed.add('embedding_metadata');
  const rowids = new Map(lost.map(({ rowid, ...each }) => [rowid, each]));
  const found = new Set<number>();
  const insert = (column: string) =>
    to.prepare(`INSERT OR IGNORE INTO embedding_metadata (id, key, ${column}) VALUES (?, ?, ?)`);
  for (const column of ['string_value', 'int_value', 'float_value']) {
    const add = insert(column);
    tolerate(() => {
      const rows = from
        .prepare(
          `SELECT rowid, ${column} FROM embedding_metadata INDEXED BY embedding_metadata_${column} WHERE ${column} IS NOT NULL`,
        )
        .safeIntegers()
        .raw();
      for (const row of rows.iterate()) {
        const [rowid, value] = row as [bigint, unknown];
        const place = rowids.get(Number(rowid));
        if (place === undefined) continue;
        add.run(place.number, place.key, value);
        found.add(Number(rowid));
      }
    });
  }
  const text = tolerate(() =>
    from.prepare('SELECT c0 FROM embedding_fulltext_search_content WHERE id = ?').pluck(),
  );
  const addText = insert('string_value');
  for (const [rowid, { number, key }] of rowids) {
    if (found.has(rowid) || key !== 'chroma:document') continue;
    const document = tolerate(() => text?.get(number));
    if (typeof document !== 'string') continue;
    addText.run(number, key, document);
    found.add(rowid);
  }
  return { texts: [...rowids].flatMap(([rowid, each]) => (found.has(rowid) ? [] : [each])), unnamed };
}

function addEmbeddings(from: Database.Database, to: Database.Database): void {
  const rows = from
    .prepare(
      'SELECT id, segment_id, embedding_id FROM embeddings INDEXED BY sqlite_autoindex_embeddings_1 WHERE segment_id >= ?',
    )
    .raw();
  const insert = to.prepare(
    'INSERT OR IGNORE INTO embeddings (id, segment_id, embedding_id, seq_id) VALUES (?, ?, ?, 0)',
  );
  for (const row of rows.iterate('')) insert.run(row);
}

type FoundText = LostText & { readonly rowid: number };

/** Adds to `lost` the rows that the index of the primary key has, and the copy has not: as far as the index can be read. */
function findLostTexts(from: Database.Database, to: Database.Database, lost: FoundText[]): void {
  const isThere = to.prepare('SELECT 1 FROM embedding_metadata WHERE id = ? AND key = ?');
  const rows = from
    .prepare(
      'SELECT rowid, id, key FROM embedding_metadata INDEXED BY sqlite_autoindex_embedding_metadata_1 WHERE id >= ?',
    )
    .raw();
  for (const row of rows.iterate(-1)) {
    const [rowid, number, key] = row as [number, number, string];
    if (isThere.get(number, key) === undefined) lost.push({ rowid, number, key });
  }
}
