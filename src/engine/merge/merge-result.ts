import type { CollectionPlace } from '../../stores/record-source.ts';
import type { RecordPart } from '../records/same-record.ts';
import type { Fate } from './three-way.ts';

/** Whose record counts when both hosts changed it: that of A, that of B, or the one that was written last. */
export type Prefer = 'A' | 'B' | 'newest';

export interface MergeOptions {
  /** Decides conflicts. Default: nothing is written if there is one. */
  readonly prefer?: Prefer | undefined;
  /** Merges into a server that has other records than A: they count as those of A. */
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

export interface MergeConflict {
  readonly id: string;
  /** What each side did since the common position. `unchanged` if nobody knows which side it was. */
  readonly ours: Fate;
  readonly theirs: Fate;
  readonly parts: readonly RecordPart[];
  /** Which side counts; null if no rule decides it. */
  readonly taken: 'A' | 'B' | null;
  /** With `newest`: when each side last wrote it, by its host's clock, ISO 8601. */
  readonly times?: { readonly ours: string; readonly theirs: string };
}

export interface MergedCollection extends CollectionPlace {
  /** `created`: the server gets the collection. */
  readonly change: 'created' | 'merged';
  /** Records that are taken from B. */
  readonly written: readonly string[];
  /** Records that B deleted. */
  readonly deleted: readonly string[];
  /** Records that the server has already as they shall be: an earlier merge brought them there. */
  readonly already: number;
  readonly conflicts: readonly MergeConflict[];
}

/** Records of the server that are not those of A. */
export interface ServerDifference extends CollectionPlace {
  /** `missing`, `extra`: the server lacks the whole collection, or A does. */
  readonly change: 'missing' | 'extra' | 'changed';
  readonly ids: readonly string[];
}

export interface MergeResult {
  /** `refused`: nothing was written, `problems` says why. */
  readonly type: 'merged' | 'planned' | 'refused';
  /** The snapshots A and B. */
  readonly ours: string;
  readonly theirs: string;
  readonly base: {
    readonly snapshot: string;
    /** So many segments of its log both sides have. */
    readonly segments: number;
    /** The number of the last operation in them. Null if the snapshot has no log. */
    readonly operation: number | null;
    /** False if a side's own log was purged, so that it may have less of that. Records that were written there count as conflicts if they differ. */
    readonly isExact: boolean;
  };
  /** Those into which something is written, was written, or is in conflict. */
  readonly collections: readonly MergedCollection[];
  /** What is left as it is in the server: names, metadata, deleted collections. */
  readonly notes: readonly string[];
  readonly problems: readonly string[];
  readonly differences: readonly ServerDifference[];
  /** The snapshot to which one can go back. Null if nothing was written. */
  readonly snapshot: string | null;
}
