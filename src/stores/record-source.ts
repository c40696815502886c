/**
 * Records of a store as plain data, whatever keeps them: files at rest, or a server. The engine exports, imports and compares them, and
 * knows no kind of store.
 */
export interface CollectionDescription {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly database: string;
  /** Null while the collection never had a vector. */
  readonly dimension: number | null;
  /** How vectors are compared: `l2`, `cosine`, `ip`. Null if nobody says. */
  readonly space: string | null;
  /** JSON texts, as the store or the server wrote them; numbers keep their form. Null if there is none. */
  readonly metadata: string | null;
  readonly configuration: string | null;
  readonly schema: string | null;
}

export interface SourceRecord {
  readonly id: string;
  /** Null if it cannot be read any more. */
  readonly embedding: Float32Array | null;
  readonly document: string | null;
  readonly uri: string | null;
  /** JSON text of an object, so that `5.0` is no integer. */
  readonly metadata: string | null;
}

/** What a damaged store does not yield any more. */
export interface RecordLoss {
  readonly collection: string | null;
  readonly database: string | null;
  /** Null if the ids themselves are unknown. */
  readonly id: string | null;
  /** `record`, `embedding`, `length` (of a cosine vector whose direction is exact), `newer` (a later write of it
   * may be lost), `document`, `metadata`, `collection`. */
  readonly missing: readonly string[];
  /** One sentence without a final period. */
  readonly message: string;
}

export interface RecordSource {
  readonly collections: readonly CollectionDescription[];
  /** How many records a collection has, for progress. */
  count(collection: CollectionDescription): Promise<number>;
  /** In an order of its own, each id once. Memory does not grow with vectors and documents. */
  records(collection: CollectionDescription, signal?: AbortSignal): AsyncIterable<SourceRecord>;
  close(): void;
}

export interface RecordSourceOptions {
  /** A directory for files of its own. */
  readonly scratch: string;
  /** Given to salvage: a damaged store is read as far as it goes, and each loss is told. Otherwise damage is STORE_CORRUPT. */
  readonly onLoss?: ((loss: RecordLoss) => void) | undefined;
  /** Told once for each thing that people should know. Only when salvaging. */
  readonly onNotice?: ((message: string) => void) | undefined;
}

/** Opens the records of a quiescent image, or of a store as it lies. Never changes a byte of it. */
export type OpenRecords = (dir: string, options: RecordSourceOptions) => Promise<RecordSource>;

/** A running server that takes records. */
export interface RecordTarget {
  /** For messages. */
  readonly url: string;
  /** Whether `upsert` takes metadata keys away. */
  readonly removesKeys: boolean;
  /** The most records that one request may carry. */
  maxBatch(signal?: AbortSignal): Promise<number>;
  /** Undefined if there is no such collection. */
  find(place: CollectionPlace, signal?: AbortSignal): Promise<CollectionDescription | undefined>;
  /** Makes the collection, and its tenant and database if they are missing. */
  create(
    place: CollectionPlace,
    like: CollectionDescription | undefined,
    signal?: AbortSignal,
  ): Promise<CollectionDescription>;
  count(collection: CollectionDescription, signal?: AbortSignal): Promise<number>;
  byIds(
    collection: CollectionDescription,
    ids: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly SourceRecord[]>;
  /** Records whose ids exist already are ignored by the server. */
  add(
    collection: CollectionDescription,
    records: readonly SourceRecord[],
    signal?: AbortSignal,
  ): Promise<void>;
  /**
   * As `add`; a record whose id exists is changed in place: document and uri stay if they are null, and of the metadata the keys that are
   * not named. A key whose value is `null` is removed, if the target can do that.
   */
  upsert(
    collection: CollectionDescription,
    records: readonly SourceRecord[],
    signal?: AbortSignal,
  ): Promise<void>;
  remove(collection: CollectionDescription, ids: readonly string[], signal?: AbortSignal): Promise<void>;
}

export interface CollectionPlace {
  readonly tenant: string;
  readonly database: string;
  readonly name: string;
}
