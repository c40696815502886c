import type { ProblemKind } from './adapter.ts';

/** What readers ask of a kind of store besides whether it is sound. Everything that costs time to load is imported by the calls. */
export interface StoreReading {
  /**
   * TOO_NEW, with its version, for a store that a newer program wrote than those that are known here: its parts may mean
   * something else. Says nothing about what cannot be opened at all. `scratch` as in `InspectOptions`.
   */
  assertKnown(dir: string, options: { readonly scratch: string }): Promise<void>;
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
