import type { Problem, Verdict } from './adapter.ts';
import type { Exclusions } from './content/exclusions.ts';

/**
 * How a kind of store is mended: a plan, made from what lies there without changing a byte of it, and steps, carried out on
 * a copy that is nobody else's. The engine makes the copy, and puts it in the place of the store.
 */
export interface StoreMending {
  planRepair(dir: string, options: PlanRepairOptions): Promise<RepairPlan>;
  /** Carries out one step on the copy. STORE_CORRUPT if it cannot be done; then the copy is as it was before. */
  repair(dir: string, step: RepairStep, options: MendOptions): Promise<void>;
  /** What maintenance would do and gain. Changes no byte of the store. */
  estimateMaintenance(dir: string, options: EstimateOptions): Promise<MaintenanceEstimate>;
  /** Carries it out on the copy. */
  maintain(dir: string, options: MaintainOptions): Promise<Maintained>;
}

export interface MendOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface PlanRepairOptions extends MendOptions {
  /** What a person allowed. */
  readonly allowed: readonly Permission[];
  /** A directory for copies of databases that SQLite has to recover. Nothing stays in it. */
  readonly scratch: string;
  /** Databases that the store is known to have had. */
  readonly databases?: readonly string[] | undefined;
  readonly exclude?: Exclusions | undefined;
}

export interface EstimateOptions extends MendOptions {
  /** As in `PlanRepairOptions`. */
  readonly scratch: string;
}

export interface MaintainOptions extends MendOptions {
  /** Default: the present one. */
  readonly journalMode?: JournalMode | undefined;
}

export type JournalMode = 'wal' | 'delete';

export interface MaintenanceEstimate {
  /** Of the databases. */
  readonly bytes: number;
  /** In pages that nothing uses: all of it is gained. */
  readonly freeBytes: number;
  /** Room in pages that are used: most of it is gained. */
  readonly slackBytes: number;
  /** Queued operations that all parts of the store have applied, and their bytes. */
  readonly purgeable: { readonly operations: number; readonly bytes: number };
  readonly journalMode: string;
}

export interface Maintained {
  readonly purgedOperations: number;
  readonly journalMode: string;
}

/** `orphans`: remove what belongs to no collection. `accept-loss`: go on without records that nothing can bring back. */
export type Permission = 'orphans' | 'accept-loss';

/** One thing that a repair does. Plain data. */
export interface RepairStep {
  readonly type: RepairStepType;
  /** The file, relative to the store, or the collection. */
  readonly where: string;
  /** What it does: a sentence that begins with a verb, without a final period. */
  readonly message: string;
  /** What it works on, such as the id of a segment. For the kind of store alone. */
  readonly target: string;
  /** Records that the store will not have any more. */
  readonly losses: readonly RepairLoss[];
}

export type RepairStepType = 'database' | 'queue' | 'vector-index' | 'orphans';

export interface RepairLoss {
  readonly collection: string;
  readonly id: string;
  /** What is nowhere any more. Without its vector a record cannot stay. Without the length of a cosine vector it stays, with length 1. */
  readonly missing: 'vector' | 'length';
}

/** A step that is possible, and not done without permission. */
export interface WithheldStep extends RepairStep {
  readonly needs: Permission;
}

/** What is wrong, and what can be done. */
export interface RepairPlan extends Verdict {
  readonly records: number;
  /** In order. */
  readonly steps: readonly RepairStep[];
  readonly withheld: readonly WithheldStep[];
  /** Damage that no step mends, with what to do instead. */
  readonly left: readonly Problem[];
  /** The rest shows only after these steps: indexes are broken that it would be read by. */
  readonly isPartial: boolean;
}
