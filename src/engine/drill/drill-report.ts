import type { DamageKind } from './damage-kinds.ts';

export interface DrillReport {
  /**
   * `passed`: the snapshot restores, and everything is in it. Of a rehearsal (`damage`): the damage was found, and what a recovery would do
   * works.
   */
  readonly type: 'passed' | 'failed';
  /** Its id; null if the remote has lost its list of snapshots. */
  readonly snapshot: string | null;
  /** ISO 8601. */
  readonly createdAt: string | null;
  /** Why this one. */
  readonly chosen: ChosenBecause;
  /** The kind of store: `chroma`. */
  readonly kind: string | null;
  readonly files: number;
  readonly bytes: number;
  readonly records: number;
  readonly steps: readonly DrillStep[];
  /** What is damaged in the remote, or wrong with the restored store. */
  readonly problems: readonly DrillProblem[];
  /** What is not as it should be in the restored store, and puts no record at risk, in sentences. */
  readonly findings: readonly string[];
  readonly server: DrilledServer;
  /** What a restore, or a repair, would do about the problems. Null if there are none. */
  readonly recovery: DrillRecovery | null;
  /** What the drill damaged itself. Null if nothing. */
  readonly damage: { readonly kind: DamageKind; readonly what: string } | null;
  readonly tookMs: number;
}

/** `least-recent`: the snapshot that this host drilled longest ago, or never. */
export type ChosenBecause = 'named' | 'newest' | 'least-recent';

/** `list`: the commit log, and whether all objects are there. `restore`: every byte and its hash. `check`: the database and indexes. */
export type DrillStepName = 'list' | 'restore' | 'check' | 'server';

export interface DrillStep {
  readonly name: DrillStepName;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly tookMs: number;
}

export interface DrillProblem {
  readonly foundBy: DrillStepName;
  /** A sentence without a final period. */
  readonly message: string;
}

export interface DrilledServer {
  /** `answered`: every collection was counted, read and searched, and equals the files. `none`: no server was tried. */
  readonly state: 'answered' | 'failed' | 'none';
  /** The program. */
  readonly name: string | null;
  readonly version: string | null;
  /** More than one: it dropped a connection, and the next one went on. */
  readonly boots: number;
  /** Why no server was tried. */
  readonly why: string | null;
}

export interface DrillRecovery {
  /**
   * `same-snapshot`: it restores all the same. `older-snapshot`: a restore falls back to `snapshot`. `repair`: a repair mends the
   * store. `restore`: the snapshot is whole, and replaces the damaged store.
   */
  readonly type: 'same-snapshot' | 'older-snapshot' | 'repair' | 'restore' | 'none';
  /** It was tried, and what came of it passed. */
  readonly works: boolean;
  readonly snapshot: string | null;
  /** A sentence without a final period. */
  readonly message: string;
}

export const noServer = (why: string): DrilledServer => ({
  state: 'none',
  name: null,
  version: null,
  boots: 0,
  why,
});
