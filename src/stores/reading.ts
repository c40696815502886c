import type { ProblemKind } from './adapter.ts';

/** What readers ask of a kind of store besides whether it is sound. Everything that costs time to load is imported by the calls. */
export interface StoreReading {
  /**
   * TOO_NEW, with its version, for a store that a newer program wrote than those that are known here: its parts may mean
   * something else. Says nothing about what cannot be opened at all. `scratch` as in `InspectOptions`.
   */
  assertKnown(dir: string, options: { readonly scratch: string }): Promise<void>;
  /** Says what is in a store. Rejects with STORE_CORRUPT if its databases cannot be read. */
  describe(dir: string, options: DescribeOptions): Promise<StoreDescription>;
  /** Asks the running server of such a store whether it can give out what it has. Failures are part of the report. */
  checkServer(address: ServerPlace, options: ServerCheckOptions): Promise<ServerReport>;
  /** The words after `sync-agent` that mend a problem of this kind. */
  readonly mendedBy: Readonly<Partial<Record<ProblemKind, string>>>;
}

/** A running server. Plain data. */
export interface ServerPlace {
  readonly url: string;
  /** Sent with every request, such as a token. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Time for each answer, milliseconds; default 30 s. A collection that has no answer by then counts as failed. */
  readonly timeoutMs?: number | undefined;
  /** No server lists its tenants. Default: the default one. */
  readonly tenants?: readonly string[] | undefined;
}

export interface ServerCheckOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface ServerReport {
  /** Without credentials. */
  readonly url: string;
  /** Whether it answered to the end: a server that died on the way did not. */
  readonly isReachable: boolean;
  /** As it calls itself; null if it did not say. */
  readonly version: string | null;
  readonly heartbeatMs: number | null;
  readonly collections: readonly ServerCollectionReport[];
  /** What failed. Empty: every collection can be counted, read and searched. */
  readonly problems: readonly ServerProblem[];
}

/** Loading is lazy: only an access to a collection shows whether its server can read it. Milliseconds are null for what was not done. */
export interface ServerCollectionReport {
  readonly tenant: string;
  readonly database: string;
  readonly name: string;
  readonly records: number | null;
  readonly countMs: number | null;
  readonly getMs: number | null;
  readonly queryMs: number | null;
}

export interface ServerProblem {
  /** `collection "name"`, or `server`. */
  readonly where: string;
  readonly message: string;
}

export interface DescribeOptions {
  /** As in `InspectOptions`. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

/** What is in a store. Sizes are bytes. */
export interface StoreDescription {
  readonly schema: {
    /** The newest migration of each part; null if the store does not say. */
    readonly migrations: Readonly<Record<string, number>> | null;
    /** The oldest release that opens it; all later ones do, too. */
    readonly opensWith: string | null;
  };
  readonly database: {
    readonly path: string;
    readonly bytes: number;
    readonly journalMode: string;
    readonly pages: number;
    readonly freePages: number;
    /** The share of bytes that used pages do not use, 0 to 1. */
    readonly fragmentation: number;
    /** With their indexes, the largest first. */
    readonly tables: readonly { readonly name: string; readonly bytes: number }[];
  };
  /** The application's databases, not SQLite's. */
  readonly databases: readonly {
    readonly tenant: string;
    readonly name: string;
    readonly collections: number;
  }[];
  readonly collections: readonly DescribedCollection[];
  /** Operations that were acknowledged, and are kept until every segment has applied them, or longer. */
  readonly queue: {
    readonly operations: number;
    readonly first: number | null;
    readonly last: number | null;
  };
  readonly fullText: {
    /** Texts that are in records, and those that the index has. Both null if there is no such index. */
    readonly texts: number | null;
    readonly indexed: number | null;
    /** Parts of the index; searches look at each. */
    readonly parts: number | null;
  };
  /** Folders of vector indexes that belong to no collection. */
  readonly orphans: readonly { readonly path: string; readonly bytes: number }[];
}

export interface DescribedCollection {
  readonly id: string;
  readonly tenant: string;
  readonly database: string;
  readonly name: string;
  readonly records: number;
  readonly dimension: number | null;
  readonly space: string;
  /** As configured: links of an element, and so on. Empty where the store does not say. */
  readonly parameters: Readonly<Record<string, number>>;
  /** Operations in the queue that the vector index has not applied. */
  readonly pending: number;
  readonly metadataSegment: { readonly id: string; readonly appliedUpTo: number | null } | null;
  readonly vectorSegment: {
    readonly id: string;
    readonly appliedUpTo: number | null;
    /** Of its folder; null if there is none, because it was never persisted. */
    readonly bytes: number | null;
    /** In the index, deleted ones included; null if it was never persisted. */
    readonly elements: number | null;
  } | null;
}
