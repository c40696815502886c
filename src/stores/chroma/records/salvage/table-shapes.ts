import type { CellValue, PageRow } from '../../../sqlite/pages/page-rows.ts';

/** How the rows of a table of Chroma's can be told from those of others, and the table be made anew. */
export interface TableShape {
  readonly table: string;
  /** What CREATE TABLE says between its parentheses. */
  readonly sql: string;
  readonly fits: (values: readonly CellValue[]) => boolean;
}

type Test = (value: CellValue) => boolean;
const isText: Test = (value) => typeof value === 'string';
const isInteger: Test = (value) => typeof value === 'bigint';
const isBytes: Test = (value) => Buffer.isBuffer(value);
const isNumber: Test = (value) => typeof value === 'bigint' || typeof value === 'number';
/** A column that stands for the number of its row. */
const isNull: Test = (value) => value === null;
const isUuid: Test = (value) =>
  typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);
/** Before 1.0 numbers of operations are eight bytes. */
const isSeqId: Test = (value) => isInteger(value) || (Buffer.isBuffer(value) && value.length === 8);
const isType: Test = (value) => typeof value === 'string' && value.startsWith('urn:chroma:');
const isTopic: Test = (value) => typeof value === 'string' && value.includes('://');
const orNull =
  (test: Test): Test =>
  (value) =>
    value === null || test(value);

/** Whether each value passes the test of its place. Columns that were added later may be missing: `least` values are there. */
const row =
  (least: number, ...tests: readonly Test[]) =>
  (values: readonly CellValue[]): boolean =>
    values.length >= least && values.every((value, i) => tests[i]?.(value) === true);

const typed = [orNull(isText), orNull(isInteger), orNull(isNumber), orNull(isInteger)];

/** In the versions whose directories are read here (chromadb/migrations). */
const shapes: readonly TableShape[] = [
  {
    table: 'databases',
    sql: 'id PRIMARY KEY, name, tenant_id',
    fits: row(3, isUuid, isText, isText),
  },
  {
    table: 'collections',
    sql: 'id PRIMARY KEY, name, topic, dimension, database_id',
    fits: row(5, isUuid, isText, isTopic, orNull(isInteger), isUuid),
  },
  {
    table: 'collections',
    sql: 'id PRIMARY KEY, name, dimension, database_id, config_json_str, schema_str',
    fits: row(4, isUuid, isText, orNull(isInteger), isUuid, orNull(isText), orNull(isText)),
  },
  {
    table: 'segments',
    sql: 'id PRIMARY KEY, type, scope, topic, collection',
    fits: row(5, isUuid, isType, isText, orNull(isTopic), orNull(isUuid)),
  },
  {
    table: 'segments',
    sql: 'id PRIMARY KEY, type, scope, collection',
    fits: row(4, isUuid, isType, isText, orNull(isUuid)),
  },
  {
    table: 'collection_metadata',
    sql: 'collection_id, key, str_value, int_value, float_value REAL, bool_value, PRIMARY KEY (collection_id, key)',
    fits: row(5, isUuid, isText, ...typed),
  },
  {
    table: 'segment_metadata',
    sql: 'segment_id, key, str_value, int_value, float_value REAL, bool_value, PRIMARY KEY (segment_id, key)',
    fits: row(5, isUuid, isText, ...typed),
  },
  {
    table: 'max_seq_id',
    sql: 'segment_id PRIMARY KEY, seq_id',
    fits: row(2, isUuid, isSeqId),
  },
  {
    table: 'embeddings',
    sql: 'id INTEGER PRIMARY KEY, segment_id, embedding_id, seq_id, created_at, UNIQUE (segment_id, embedding_id)',
    fits: row(5, isNull, isUuid, isText, isSeqId, isText),
  },
  {
    table: 'embedding_metadata',
    sql: 'id, key, string_value, int_value, float_value REAL, bool_value, PRIMARY KEY (id, key)',
    fits: row(5, isInteger, isText, ...typed),
  },
  {
    table: 'embedding_metadata_array',
    sql: 'id, key, string_value, int_value, float_value REAL, bool_value',
    fits: row(6, isInteger, isText, ...typed),
  },
  {
    table: 'embeddings_queue',
    sql: 'seq_id INTEGER PRIMARY KEY, created_at, operation, topic, id, vector, encoding, metadata',
    fits: row(8, isNull, isText, isInteger, isTopic, isText, orNull(isBytes), orNull(isText), orNull(isText)),
  },
];

/** The tables that the rows of one page can be of. */
export function shapesOf(rows: readonly PageRow[]): readonly TableShape[] {
  if (rows.length === 0) return [];
  return shapes.filter(({ fits }) => rows.every(({ values }) => fits(values)));
}
