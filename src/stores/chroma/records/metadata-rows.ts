import type Database from 'better-sqlite3';
import { operationTexts, valueText } from './metadata-text.ts';
import type { MetadataTexts, TypedRow } from './metadata-text.ts';
import { operationCode, readQueue } from './pending-operations.ts';
import { columnsOf } from './stored-collection.ts';
import type { StoredCollection } from './stored-collection.ts';

/** A record without its vector. */
export interface RecordTexts {
  readonly id: string;
  /** With the document and the URI, under Chroma's own keys. */
  readonly texts: MetadataTexts;
}

/**
 * What the METADATA segment of a collection holds after the operations that it has not applied yet, in the order in which records were
 * added. In memory are the ids that such operations touch.
 */
export function* readRecordTexts(
  db: Database.Database,
  collection: StoredCollection,
): Generator<RecordTexts> {
  const queue = readQueue(db, collection.id);
  const segment = collection.metadataSegment;
  const pending = new Map<string, { readonly seqId: number; readonly operation: number }[]>();
  for (const { id, seqId, operation } of queue.after(Math.max(0, segment?.maxSeqId ?? 0))) {
    const operations = pending.get(id) ?? [];
    operations.push({ seqId, operation });
    pending.set(id, operations);
  }
  const replayed = (id: string, stored: MetadataTexts | undefined): MetadataTexts | undefined => {
    let texts = stored;
    for (const { seqId, operation } of pending.get(id) ?? [])
      texts = apply(texts, operation, () => operationTexts(queue.metadataOf(seqId)));
    pending.delete(id);
    return texts;
  };
  const readTexts = textReader(db);
  const rows = db
    .prepare('SELECT id, embedding_id FROM embeddings WHERE segment_id = ? ORDER BY id')
    .raw()
    .iterate(segment?.id ?? '');
  for (const row of rows) {
    const [number, id] = row as [number, string];
    const texts = replayed(id, readTexts(number));
    if (texts !== undefined) yield { id, texts };
  }
  for (const id of pending.keys()) {
    const texts = replayed(id, undefined);
    if (texts !== undefined) yield { id, texts };
  }
}

/** What an operation makes of a record, as the segment applies it (rust/segment/src/sqlite_metadata.rs). Undefined: there is none. */
function apply(
  texts: MetadataTexts | undefined,
  operation: number,
  set: () => MetadataTexts,
): MetadataTexts | undefined {
  if (operation === operationCode.delete) return undefined;
  if (operation === operationCode.add && texts !== undefined) return texts;
  if (operation === operationCode.update && texts === undefined) return undefined;
  const merged = new Map(texts);
  for (const [key, text] of set()) {
    if (text === 'null') merged.delete(key);
    else merged.set(key, text);
  }
  return merged;
}

/** Reads the metadata of a record by its number in `embeddings`. */
export function textReader(db: Database.Database): (number: number) => MetadataTexts {
  const columns = columnsOf(db, 'embedding_metadata');
  const bool = columns.has('bool_value') ? 'bool_value' : 'NULL';
  const values = `key, string_value AS text, int_value AS int, float_value AS float`;
  const single = db
    .prepare(`SELECT ${values}, ${bool} AS bool FROM embedding_metadata WHERE id = ?`)
    .safeIntegers();
  const hasArrays = columnsOf(db, 'embedding_metadata_array').size > 0;
  const array = hasArrays
    ? db
        .prepare(
          `SELECT ${values}, bool_value AS bool FROM embedding_metadata_array WHERE id = ? ORDER BY rowid`,
        )
        .safeIntegers()
    : undefined;
  return (number) => {
    const texts = new Map<string, string>();
    for (const row of single.all(number) as TypedRow[]) {
      const text = valueText(row);
      if (text !== undefined) texts.set(row.key, text);
    }
    const arrays = new Map<string, string[]>();
    for (const row of (array?.all(number) ?? []) as TypedRow[]) {
      const elements = arrays.get(row.key) ?? [];
      elements.push(valueText(row) ?? 'null');
      arrays.set(row.key, elements);
    }
    for (const [key, elements] of arrays) texts.set(key, `[${elements.join(',')}]`);
    return texts;
  };
}
