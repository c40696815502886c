import type { PhaseTime } from '../../platform/events.ts';
import type { Problem } from '../../stores/adapter.ts';

export interface BackupOptions {
  /**
   * Back up even if nothing changed or the interval has not passed, and even if the remote has become empty since the
   * last backup.
   */
  readonly force?: boolean;
  /** Commit even if nothing changed. Unlike `force` it overrides nothing else. */
  readonly evenUnchanged?: boolean;
  /**
   * A name for the snapshot, by which it can be named from then on. If the store equals a snapshot without this label, it is committed
   * again. Of several snapshots with one label the newest is meant.
   */
  readonly label?: string;
  /** Keep the snapshot that this makes for some time, milliseconds, whatever the retention rule says. */
  readonly pin?: { readonly reason: string; readonly forMs: number };
  /** Commit a store that lost most of its content. */
  readonly allowShrink?: boolean;
  /** Commit a store that is damaged. The snapshot is marked and pinned, and no restore takes it unless it is named. */
  readonly acceptDamage?: boolean;
  /** Do nothing if the newest snapshot is younger than this, milliseconds. */
  readonly minIntervalMs?: number;
  /**
   * Trust the local record if it says that nothing was written since the store's parent, or that the parent is younger
   * than `minIntervalMs`. The backup then makes no request.
   */
  readonly local?: { readonly minIntervalMs: number };
  /** False: drop no snapshot and delete nothing, whatever the retention rule says. The next backup or `prune` does it. Default true. */
  readonly prune?: boolean;
  /** Capture, validate and compare, but change nothing in the remote. */
  readonly dryRun?: boolean;
  /** `Lease.epoch` of the lease that this host has, or had. */
  readonly epoch?: number;
  /** Longest time for the hook before the backup, milliseconds: the process has to end soon. */
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
      /** All tips if there is more than one: several hosts wrote at the same time. Else empty. */
      readonly diverged: readonly string[];
      /** This host lost its lease: the snapshot is kept, and the next holder's stays the newest. */
      readonly isFenced: boolean;
      readonly dropped: readonly string[];
      /** Keys of objects of earlier snapshots that were missing or cut. Their files were uploaded again. */
      readonly lost: readonly string[];
      /** What is wrong in the store, but puts no record at risk. */
      readonly findings: readonly Problem[];
      /** With `warnGrowth`: in what it is far beyond the backups before it, in sentences. Absent if it is not. */
      readonly unusual?: readonly string[];
      /** What makes the store unsound; empty unless that was accepted. */
      readonly damage: readonly Problem[];
      /** Where the time went, in the order in which the phases began. */
      readonly phases: readonly PhaseTime[];
    };
