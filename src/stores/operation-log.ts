import type { LogPosition } from '../log/segments/position.ts';

export type { LogPosition } from '../log/segments/position.ts';

/**
 * A store's own log of the writes that it has acknowledged, as far as it can be read beside its server: operations with
 * numbers that follow each other without a gap. What the store keeps besides (names, settings) has no numbers; it is
 * small, and is read whole whenever it has changed.
 */
export interface OperationLog {
  /** Follows the log of a store in use. Changes no byte of it. */
  follow(dir: string): LogFollower;
  /** Where a quiescent image stands. Undefined if its log cannot be continued; `scratch` as in `InspectOptions`. */
  positionOf(dir: string, scratch: string): LogPosition | undefined;
  /** Whether the store, a stopped one, was at `position` once, as far as its log still tells. */
  wasAt(dir: string, position: LogPosition, scratch: string): 'yes' | 'no' | 'unknown';
  /**
   * Puts entries into a quiescent copy that stands where the first of them continues. STORE_CORRUPT if they do not fit it; then
   * the copy is garbage.
   */
  openTarget(dir: string): LogTarget;
  /** The record that a line of a segment is about. Undefined for a line of what has no number, and for one that is about no record. */
  subjectOf(line: string): LoggedSubject | undefined;
}

export interface LoggedSubject {
  /** The id of the collection. */
  readonly collection: string;
  readonly id: string;
}

/** One operation. `text` is JSON on one line, which begins with a bracket. */
export interface LoggedOperation {
  readonly number: number;
  readonly text: string;
}

/** What one read found, in order; or that operations are gone that nobody has read. */
export type LogReading =
  | {
      readonly type: 'entries';
      /** The store counts on from this number: what it had above it went with collections that were deleted. First of all. */
      readonly cutTo?: number;
      readonly operations: readonly LoggedOperation[];
      /** All of what has no number, JSON on one line each, which begins with a brace. Absent if it is as it was. */
      readonly rest?: readonly string[];
      readonly to: LogPosition;
      /** The log has more. */
      readonly hasMore: boolean;
    }
  | { readonly type: 'gap'; readonly after: number; readonly why: string };

export interface LogFollower {
  /** Sets where reading begins: a position of this store, or one that its log is to go on from. If it never was there, that is a gap. */
  start(from: LogPosition): void;
  /** Whether anything was committed since the last read. Cheap. */
  hasChanged(): boolean;
  /** Undefined if nothing came. At most about `maxBytes` of text. Rejects with BUSY while the store is locked. */
  read(maxBytes: number): LogReading | undefined;
  position(): LogPosition;
  /** Whether the store was at `position` once, as far as its log still tells. */
  wasAt(position: LogPosition): 'yes' | 'no' | 'unknown';
  close(): void;
}

export interface LogTarget {
  readonly position: LogPosition;
  /** The store counts on from this number. */
  cut(number: number): void;
  /** One line of a segment, in order. */
  put(line: string): void;
  /** Makes what was put whole and durable, and resolves to where the store stands now. */
  finish(): LogPosition;
  close(): void;
}
