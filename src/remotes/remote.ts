import type { DurableLater } from './durable-later.ts';

/**
 * What the engine needs of an object store, and what every implementation promises. The promises are tested by
 * `test/conformance/remote-conformance.ts` on each implementation and on real servers.
 *
 * - **Keys** are relative paths of one or more non-empty segments joined by `/`, any Unicode without NUL, no
 *   `.` or `..` segments. At most 1024 bytes of UTF-8.
 * - **Read after write**: once `put`, `copy` or `remove` resolved, every later `get`, `head` and `list` of any
 *   client sees its effect.
 * - **Whole objects**: a reader sees an object complete or not at all, whatever the writer's fate.
 * - **Create-only**: of any number of racing `put(..., { ifAbsent: true })` of one key exactly one resolves; the
 *   others reject with ALREADY_EXISTS. Not every server keeps this promise: `probeCreateOnly` tries it. A server that
 *   refuses the condition itself: UNSUPPORTED. After a lost answer and a retry, ALREADY_EXISTS may mean the caller's
 *   own write: tell by reading it back.
 * - **Absence**: `get` of a missing key rejects with NOT_FOUND, `head` resolves to undefined, `remove` of one resolves.
 * - **Listing** is complete, in ascending order of the keys' UTF-8 bytes, and tolerates concurrent changes.
 * - **Failure** is a SyncAgentError: REMOTE_UNREACHABLE (retryable if the same call may succeed later), DENIED,
 *   NOT_FOUND, ALREADY_EXISTS, DISK_FULL, INTERRUPTED. A failed `put` with a 5xx or time-out *may have happened*.
 * - **Memory** used is bounded, whatever the object's size.
 */
export interface Remote {
  /** For people: `s3://bucket/prefix`, `file:///directory`. Never holds a credential. */
  readonly location: string;

  put(key: string, body: Body, options?: PutOptions): Promise<PutResult>;
  /**
   * `range` is inclusive of `start`, exclusive of `end`, bytes; not empty; an `end` beyond the object is cut to it, a
   * `start` beyond it rejects. The stream fails rather than end short or long. It holds a connection or a file until
   * it was read to its end or left by `break`; its bytes are of one version of the object.
   */
  get(key: string, options?: GetOptions): Promise<GetResult>;
  head(key: string, options?: CallOptions): Promise<ObjectInfo | undefined>;
  /** Pages of the objects whose key starts with `prefix` (a plain string prefix). At least one page, maybe empty. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ListPage>;
  /**
   * The names of the directories directly below `prefix` (empty or ending in `/`) that hold objects, ascending,
   * without slashes: `history/a/x` has the directory `a` below `history/`. Costs one request per 1000 names.
   */
  listDirectories(prefix: string, options?: CallOptions): Promise<DirectoryListing>;
  /** Server-side copy, of any size, replacing the target. NOT_FOUND if the source is missing. */
  copy(from: string, to: string, options?: CopyOptions): Promise<void>;
  /** Removes objects; missing ones are no error. Any number of keys. */
  remove(keys: readonly string[], options?: CallOptions): Promise<void>;
  /** Aborts unfinished uploads below `prefix` that were begun before `before` (server time); resolves to their number. */
  sweepUploads(prefix: string, before: Date, options?: CallOptions): Promise<number>;
  /** What people should know of the remote's own settings, as far as it can be found out with a few requests. */
  remarks?(options?: CallOptions): Promise<readonly RemoteRemark[]>;
  /** Releases connections. The remote cannot be used afterwards. */
  close(): Promise<void>;
}

/** Something that the remote, or a proxy before it, does by itself. */
export interface RemoteRemark {
  /** One word, for a list: `proxy`. */
  readonly name: string;
  /** `fact`: all is well. `keeps-deleted`: deleted bytes stay and cost, which every deletion by hand says, too. */
  readonly type: 'fact' | 'keeps-deleted';
  readonly message: string;
  readonly remedy?: string;
}

/** Bytes that can be read again from the start, so that a failed upload can be repeated. */
export interface Body {
  readonly size: number;
  /**
   * A file of just these bytes, to which nobody writes any more, not even under another name. A remote on the same file
   * system may keep it as the object, by a hard link, instead of a copy.
   */
  readonly file?: string;
  /** A fresh stream of the bytes [start, end), the whole body without a range. A chunk is valid until the next is asked for. */
  open(range?: ByteRange): AsyncIterable<Uint8Array>;
}

export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface WriteOptions extends CallOptions {
  /** Nobody sees the object before this resolves; bytes may be sent before. The call rejects if it does. */
  readonly after?: Promise<unknown> | undefined;
  /** Makes the object durable together with others. Without it, the object is durable once the call has resolved. */
  readonly durableLater?: DurableLater | undefined;
}

export interface CopyOptions extends WriteOptions {
  /** The size of the object, if it is known. It decides how long the server may take. */
  readonly bytes?: number | undefined;
}

export interface PutOptions extends WriteOptions {
  /** Create-only. Bodies up to 8 MiB. */
  readonly ifAbsent?: boolean;
  /** SHA-256 of the body, lower-case hexadecimal, sent along as a checksum if the remote takes one. */
  readonly sha256?: string;
  readonly contentType?: string;
  /**
   * An older object, some parts of which may have the same bytes as those of the body: the server may copy them, so that they
   * need not be sent. It is only help: a base that is gone, or cannot be copied from, does not fail the call. Its bytes
   * must be those that `parts` describes.
   */
  readonly base?: { readonly key: string; readonly parts: Parts };
  /**
   * Called as bytes of the body leave, or, with `isCopied`, as the server has copied them from the base. The sum may exceed
   * `size` if a part is sent again.
   */
  readonly onBytes?: (count: number, isCopied?: boolean) => void;
}

export interface PutResult {
  /** The server's clock when it answered. */
  readonly serverTime: Date;
  /** What was stored, if it was sent in parts: as the base of a later object. */
  readonly parts?: Parts;
}

/** What is in an object, part by part. */
export interface Parts {
  /** Bytes of each part but the last, which has the rest. */
  readonly bytes: number;
  /** SHA-256 of each part, lower-case hexadecimal. */
  readonly sha256: readonly string[];
}

export interface GetOptions extends CallOptions {
  readonly range?: ByteRange;
  /** Rejects with REMOTE_UNREACHABLE unless the object is still this `GetResult.version`. */
  readonly ifVersion?: string;
}

export interface GetResult {
  /** Bytes in `body`. */
  readonly size: number;
  /** A chunk is valid until the next is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Differs once the object was replaced by other bytes; lets a broken read go on where it stopped. */
  readonly version: string;
  readonly serverTime: Date;
}

export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
  /** By the server's clock. */
  readonly lastModified: Date;
}

export interface ListOptions extends CallOptions {
  /** Only keys that sort after this one. */
  readonly startAfter?: string;
  /** Objects of one page at most, for callers that want to see a few. Not every server can be told. */
  readonly pageSize?: number;
}

export interface DirectoryListing {
  readonly names: readonly string[];
  readonly serverTime: Date;
}

export interface ListPage {
  readonly objects: readonly ObjectInfo[];
  /** The server's clock when it made this page. */
  readonly serverTime: Date;
}
