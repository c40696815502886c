import type { CollectionDescription, CollectionPlace, SourceRecord } from './record-source.ts';

/**
 * How a restored store is tried out: on its own server, and damaged on purpose. Everything works on copies that are nobody else's. What
 * costs time to load is imported by the calls.
 */
export interface StoreDrilling {
  /**
   * Finds the program that serves such a store: `command`, with `{dir}` and `{port}` in it, or one that is installed. `off`: none.
   * USAGE for a command that cannot be used.
   */
  findServer(command: string | undefined, options: TrialOptions): Promise<FoundServer>;
  /**
   * Starts it on `dir`, on a free port of 127.0.0.1, without this process's credentials. STORE_CORRUPT if it ends or does not
   * answer. It ends with this process, whatever ends that.
   */
  startServer(dir: string, server: ServerCommand, options: TrialOptions): Promise<TrialServer>;
  /** Damages `dir`, and says what it did. USAGE if the store has nothing of that kind. */
  damage(dir: string, kind: StoreDamage): Promise<string>;
}

/** What `StoreDrilling.damage` can do. */
export const storeDamages = [
  'database-header',
  'table-page',
  'index-page',
  'full-text',
  'vectors-truncated',
  'links-zeroed',
  'pickle-missing',
  'folder-missing',
] as const;
export type StoreDamage = (typeof storeDamages)[number];

export interface TrialOptions {
  /** A directory for the server's own files. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

export interface ServerCommand {
  /** The program and its arguments, with `{dir}` and `{port}` for the directory and the port. */
  readonly argv: readonly string[];
  /** For people: the program. Holds no credential. */
  readonly name: string;
  /** The directory it starts in; undefined: its scratch directory. */
  readonly cwd: string | undefined;
}

export type FoundServer =
  | { readonly type: 'found'; readonly server: ServerCommand }
  /** `why` is a sentence without a final period. */
  | { readonly type: 'none'; readonly why: string };

/** A server that was started for a trial. Its calls reject with REMOTE_UNREACHABLE if it fails or dies. */
export interface TrialServer {
  /** As it calls itself. */
  readonly version: string | null;
  collections(tenants: readonly string[]): Promise<readonly CollectionDescription[]>;
  count(collection: TrialPlace): Promise<number>;
  byIds(collection: TrialPlace, ids: readonly string[]): Promise<readonly SourceRecord[]>;
  /** The ids of the nearest records. */
  nearest(collection: TrialPlace, vector: Float32Array, limit: number): Promise<readonly string[]>;
  /** Ends every process that it consists of. A second call does nothing. */
  stop(): Promise<void>;
}

export type TrialPlace = CollectionPlace & Pick<CollectionDescription, 'id'>;
