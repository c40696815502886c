import type { Problem } from '../../stores/adapter.ts';

export interface BackupOptions {
  /**
   * Back up even when nothing changed or the interval has not passed, and even to a remote that has become empty since
   * this store was backed up to it.
   */
  readonly force?: boolean;
  /** Commit a store that lost most of its content. */
  readonly allowShrink?: boolean;
  /** Commit a store that is damaged. The snapshot is marked and pinned, and no restore takes it unless it is named. */
  readonly acceptDamage?: boolean;
  /** Leave the remote alone while its newest snapshot is younger, milliseconds. */
  readonly minIntervalMs?: number;
  /**
   * Believe the local record, so that it costs no request, when it says that nothing was written since the store's
   * parent, or that the parent itself is younger than `minIntervalMs`.
   */
  readonly local?: { readonly minIntervalMs: number };
  /** Capture, validate and compare, but change nothing in the remote. */
  readonly dryRun?: boolean;
  /** That of the lease this host has, or had: `Lease.epoch`. */
  readonly epoch?: number;
  /** Where it has hooks: what the one before it may take at most, milliseconds, since the process has to end soon. */
  readonly beforeHookMs?: number;
}

export type BackupResult =
  | { readonly type: 'unchanged'; readonly id: string }
  | { readonly type: 'too-soon'; readonly id: string; readonly ageMs: number }
  | {
      readonly type: 'planned';
      readonly uploadFiles: number;
      readonly uploadBytes: number;
      readonly reuseFiles: number;
      readonly reuseBytes: number;
      readonly records: number;
    }
  | {
      readonly type: 'committed';
      readonly id: string;
      readonly generation: number;
      readonly parent: string | null;
      readonly files: number;
      readonly bytes: number;
      readonly records: number;
      readonly uploadBytes: number;
      readonly reuseBytes: number;
      readonly heldMs: number;
      readonly longestHoldMs: number;
      /** Tips, when there is more than one: hosts wrote beside each other. */
      readonly diverged: readonly string[];
      /** This host lost its lease: the snapshot is kept, and the next holder's stays the newest. */
      readonly isFenced: boolean;
      readonly dropped: readonly string[];
      /** Keys of objects that the snapshots before it keep such files in, and that were missing or cut: uploaded anew. */
      readonly lost: readonly string[];
      /** What is not as it should be in the store, but puts no record at risk. */
      readonly findings: readonly Problem[];
      /** What makes the store unsound; empty unless that was accepted. */
      readonly damage: readonly Problem[];
    };
