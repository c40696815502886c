import type { Clock } from '../platform/clock.ts';
import type { FileSystem } from '../platform/file-system.ts';
import type { Remote } from './remote.ts';
import type { RetryPolicy } from './wrappers/retry.ts';
import type { RetryEvent } from './wrappers/retrying-remote.ts';

/**
 * One kind of remote: everything that the rest of the program knows of it. A kind is a folder with such an object, and a
 * line in `registry.ts`; docs/adding-a-remote.md shows how to write one. The object is loaded at every start, so what
 * costs time to load is imported by `open`.
 */
export interface RemoteKind<Settings = unknown> {
  /** The scheme of its URLs in lower case, without the colon. Settings of this kind have this name. */
  readonly scheme: string;
  /** What its URLs look like, for messages and help: `s3://bucket/prefix`. */
  readonly form: string;
  /** Reads a URL of this scheme. Does no input or output. Throws USAGE; the message never repeats a credential. */
  parse(url: string): RemoteLocation<Settings>;
  /** For a text that is no URL of any kind: what to write instead, if it was meant for this kind. */
  recognise?(text: string): string | undefined;
  /** A URL that is relative to a directory, made absolute. Undefined if it is not relative, or not of this kind. */
  resolve?(text: string, base: string): string | undefined;
}

/** Where a remote is. */
export interface RemoteLocation<Settings = unknown> {
  /** The canonical URL, from which `parse` makes the same location. Holds no credential. */
  readonly url: string;
  /** The directory of this host that the remote is in, if it is: the store must not overlap with it. Absolute. */
  readonly directory?: string;
  /** Steps that a person has to take on each host before the first backup, one sentence each. `init` prints them. */
  readonly preparation?: readonly string[];
  /** Connects to nothing yet. */
  open(parts: RemoteParts, settings: Settings | undefined): Promise<OpenRemote>;
}

/** What a remote is made from, replaceable in tests. */
export interface RemoteParts {
  readonly clock: Clock;
  readonly fs: FileSystem;
  /** Call this when the remote itself repeats a request. The caller of `open` repeats whole calls. */
  readonly onRetry: (event: RetryEvent) => void;
}

export interface OpenRemote {
  /** Without retries. */
  readonly remote: Remote;
  /** How calls are retried, if that differs from the default. */
  readonly retry?: Partial<Omit<RetryPolicy, 'clock'>> | undefined;
  /** Tells this remote from every other, if its URL does not. For local state; holds no credential. */
  readonly id?: string | undefined;
  /** Bytes that the remote puts before each key: they count towards the limit of a key. Default 0. */
  readonly prefixBytes?: number | undefined;
}
