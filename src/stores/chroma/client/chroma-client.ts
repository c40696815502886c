/** What is used of a client of the npm package `chromadb`: version 3 has it, and nothing of that package is imported. */
export interface ChromaClientLike {
  getMaxBatchSize(): Promise<number>;
  getCollection(options: { readonly name: string }): Promise<ChromaCollectionLike>;
  createCollection(options: {
    readonly name: string;
    readonly embeddingFunction?: null;
  }): Promise<ChromaCollectionLike>;
}

export interface ChromaCollectionLike {
  readonly id: string;
  readonly name: string;
  readonly tenant?: string | undefined;
  readonly database?: string | undefined;
  readonly metadata?: object | null | undefined;
  readonly configuration?: { readonly hnsw?: unknown } | null | undefined;
  /** Makes the vectors of records that have none. */
  readonly embeddingFunction?: EmbedderLike | undefined;
  count(): Promise<number>;
  get(options: {
    ids?: string[];
    limit?: number;
    include: ('embeddings' | 'documents' | 'metadatas' | 'uris')[];
  }): Promise<ChromaRecordsLike>;
  add(records: ChromaRecordsToSend): Promise<unknown>;
  upsert(records: ChromaRecordsToSend): Promise<unknown>;
  delete(options: { ids: string[] }): Promise<unknown>;
}

export interface EmbedderLike {
  generate(texts: string[]): Promise<(readonly number[])[]>;
}

export interface ChromaRecordsLike {
  readonly ids: readonly string[];
  readonly embeddings?: readonly (readonly number[] | null)[] | null;
  readonly documents?: readonly (string | null)[] | null;
  readonly metadatas?: readonly (object | null)[] | null;
  readonly uris?: readonly (string | null)[] | null;
}

/** What the client does not take is left out of all records of a call. */
export interface ChromaRecordsToSend {
  ids: string[];
  embeddings: number[][];
  metadatas?: never[];
  documents?: string[];
  uris?: string[];
}
