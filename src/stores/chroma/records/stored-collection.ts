import type Database from 'better-sqlite3';
import { readCollections } from '../sysdb.ts';
import type { CollectionFacts, Space } from '../sysdb.ts';
import { at, parse } from './json-path.ts';
import { joinTexts, valueText } from './metadata-text.ts';
import type { TypedRow } from './metadata-text.ts';

/** A collection as `chroma.sqlite3` describes it. */
export interface StoredCollection extends CollectionFacts {
  /** JSON texts. `configuration` and `schema` are as the store's version of Chroma wrote them. */
  readonly metadata: string | null;
  readonly configuration: string | null;
  readonly schema: string | null;
  readonly space: Space;
  /** Links of an element of the vector index on its upper levels; twice as many on the lowest. */
  readonly maxNeighbors: number;
}

/** hnswlib's `M` where nobody says otherwise, in all versions. */
const defaultNeighbors = 16;

/**
 * All collections, in the order of their names. Before 1.0 the metadata of a segment repeat what those of its collection say of the index: if they
 * are lost, those count.
 */
export function readStoredCollections(
  db: Database.Database,
  { isSegmentMetadataLost = false }: { readonly isSegmentMetadataLost?: boolean } = {},
): StoredCollection[] {
  const columns = columnsOf(db, 'collections');
  const column = (name: string): string => (columns.has(name) ? name : `NULL AS ${name}`);
  const settings = db.prepare(
    `SELECT ${column('config_json_str')}, ${column('schema_str')} FROM collections WHERE id = ?`,
  );
  return readCollections(db).map((facts) => {
    const row = (settings.get(facts.id) ?? {}) as Record<string, unknown>;
    const configuration = textOf(row['config_json_str']);
    const schema = textOf(row['schema_str']);
    const vector = facts.vectorSegment?.id;
    const texts = readTypedRows(db, 'collection_metadata', facts.id);
    const ofSegment = vector === undefined ? new Map() : readTypedRows(db, 'segment_metadata', vector);
    const legacy = isSegmentMetadataLost ? texts : ofSegment;
    return {
      ...facts,
      metadata: metadataOf(texts),
      configuration,
      schema,
      ...indexSettings(schema, configuration, legacy),
    };
  });
}

/** Which columns a table has. None if there is no such table. */
export function columnsOf(db: Database.Database, table: string): ReadonlySet<string> {
  return new Set(db.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table) as string[]);
}

/** Collections and segments have metadata of the same form: one row for each key. */
function readTypedRows(
  db: Database.Database,
  table: 'collection_metadata' | 'segment_metadata',
  id: string,
): ReadonlyMap<string, string> {
  const columns = columnsOf(db, table);
  if (columns.size === 0) return new Map();
  const bool = columns.has('bool_value') ? 'bool_value' : 'NULL';
  const key = table === 'collection_metadata' ? 'collection_id' : 'segment_id';
  const rows = db
    .prepare(
      `SELECT key, str_value AS text, int_value AS int, float_value AS float, ${bool} AS bool FROM ${table} WHERE ${key} = ? ORDER BY rowid`,
    )
    .safeIntegers()
    .all(id) as TypedRow[];
  return new Map(
    rows.flatMap((row) => {
      const text = valueText(row);
      return text === undefined ? [] : [[row.key, text] as const];
    }),
  );
}

const metadataOf = (texts: ReadonlyMap<string, string>): string | null =>
  texts.size === 0 ? null : joinTexts(texts);

/**
 * The newest place that says something counts: the schema (1.3 and later), the configuration, and the segment's metadata, which
 * wins over a configuration that nobody set.
 */
function indexSettings(
  schema: string | null,
  configuration: string | null,
  legacy: ReadonlyMap<string, string>,
): Pick<StoredCollection, 'space' | 'maxNeighbors'> {
  const ofSchema = at(parse(schema), 'keys', '#embedding', 'float_list', 'vector_index', 'config');
  const parsed = parse(configuration);
  const ofConfiguration = at(parsed, 'hnsw') ?? at(parsed, 'hnsw_configuration');
  const legacySpace = parse(legacy.get('hnsw:space') ?? null);
  const space = spaceOf(at(ofSchema, 'space')) ?? spaceOf(at(ofConfiguration, 'space')) ?? 'l2';
  const neighbors = [
    parse(legacy.get('hnsw:M') ?? null),
    at(ofSchema, 'hnsw', 'max_neighbors'),
    at(ofConfiguration, 'max_neighbors'),
    at(ofConfiguration, 'M'),
  ].find((each) => typeof each === 'number' && Number.isInteger(each) && each > 0 && each < 32768);
  return {
    space: space === 'l2' ? (spaceOf(legacySpace) ?? space) : space,
    maxNeighbors: typeof neighbors === 'number' ? neighbors : defaultNeighbors,
  };
}

function spaceOf(value: unknown): Space | undefined {
  return value === 'l2' || value === 'cosine' || value === 'ip' ? value : undefined;
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
