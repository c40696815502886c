import { SyncAgentError, isSyncAgentError } from '../platform/errors.ts';
import type { ErrorCode } from '../platform/errors.ts';
import type { LogView } from '../log/commit-log.ts';
import { totalBytes } from '../log/manifest.ts';
import type { Manifest, Pin, RecordedProblem } from '../log/manifest.ts';
import type { DiskSpace } from '../platform/disk-space.ts';
import { storeExists } from '../home/home.ts';
import type { StoreUser } from '../stores/capture/in-use.ts';
import { readJournal } from '../home/journal.ts';
import { readDrillRecord } from '../home/records/drill-record.ts';
import type { DrillRecord } from '../home/records/drill-record.ts';
import { listRollbackCopies } from '../home/rollback-copies.ts';
import type { RollbackCopy } from '../home/rollback-copies.ts';
import { scanStore } from '../stores/content/scan.ts';
import type { StoreAdapter } from '../stores/adapter.ts';
import type { Context } from './context.ts';
import { warnIfEmptied } from './emptied-remote.ts';
import { measureUsage } from './history/usage.ts';
import type { RemoteUsage } from './history/usage.ts';
import { summarise } from './history/history.ts';
import type { SnapshotSummary } from './history/history.ts';
import { leaseStatus } from './lease/lease-status.ts';
import type { LeaseStatus } from './lease/lease-status.ts';
import { readLineage } from './lineage.ts';
import { readRemote } from './remote-log.ts';
import { relate } from './relation.ts';
import type { Relation } from './relation.ts';

export interface StatusReport {
  readonly relation: Relation;
  /** The snapshot that the store was last equal to. */
  readonly parent: string | undefined;
  readonly newest: SnapshotSummary | undefined;
  /** Snapshots that are nobody's parent. More than one: hosts wrote at the same time. */
  readonly tips: readonly string[];
  readonly pins: readonly Pin[];
  /** Problems of the store that the newest snapshot recorded; undefined if it was not read. */
  readonly problems: RecordedProblems | undefined;
  /** Undefined if nobody has it, or if the remote could not be asked. */
  readonly lease: LeaseStatus | undefined;
  readonly store: StoreStatus;
  readonly remote: RemoteStatus;
  readonly rollbackCopies: readonly RollbackCopy[];
  readonly disk: DiskSpace;
  /** What drills of this remote on this host found; undefined before the first. */
  readonly drill: DrillRecord | undefined;
  /** One sentence on what an interrupted restore left to do; undefined if none was interrupted. */
  readonly journal: string | undefined;
}

export interface RecordedProblems {
  readonly damage: readonly RecordedProblem[];
  readonly findings: readonly RecordedProblem[];
}

export interface StoreStatus {
  readonly path: string;
  readonly exists: boolean;
  readonly adapter: StoreAdapter['name'] | undefined;
  readonly files: number;
  readonly bytes: number;
  readonly users: readonly StoreUser[];
}

export type RemoteStatus =
  | {
      readonly location: string;
      readonly isReachable: true;
      readonly snapshots: number;
      /** The size of all snapshots, by the log; no object was listed. */
      readonly bytes: number;
      /** Snapshots share objects, so fewer bytes are stored. */
      readonly isShared: boolean;
      /** What is stored, by a listing; undefined if that failed. */
      readonly usage: RemoteUsage | undefined;
      readonly damagedCommits: readonly string[];
    }
  | { readonly location: string; readonly isReachable: false; readonly error: RemoteError };

export interface RemoteError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string | undefined;
}

/** A question must not hang for the minutes that a backup may wait. */
const patienceMs = 15_000;

/**
 * Changes nothing. Costs three requests once there are snapshots, one more if leases are used, and one for every further
 * thousand objects, up to ten thousand. A remote that cannot be reached is part of the report.
 */
export async function status(context: Context): Promise<StatusReport> {
  const { home } = context;
  const [view, lease, usage, store, rollbackCopies, disk, journal, drill] = await Promise.all([
    readRemoteOrError(context),
    ask(context, leaseStatus),
    ask(context, measureUsage),
    describeStore(context),
    listRollbackCopies(home),
    context.diskSpace(home.store),
    describeJournal(context),
    readDrillRecord(home, context.remote.location),
  ]);
  const isReachable = 'snapshots' in view;
  const log = isReachable ? view : nothingKnown;
  if (isReachable) await warnIfEmptied(context, view);
  const lineage = await readLineage(context, log);
  const snapshots = summarise(log);
  return {
    relation: journal?.isIncomplete === true ? 'incomplete' : relate(lineage, isReachable ? view : undefined),
    parent: lineage.parent,
    newest: snapshots.at(-1),
    tips: snapshots.filter((each) => each.isTip).map((each) => each.id),
    pins: snapshots.flatMap(({ pin }) => pin ?? []),
    problems: log.head?.id === snapshots.at(-1)?.id ? problemsOf(log.head) : undefined,
    lease: lease !== undefined && 'epoch' in lease ? lease : undefined,
    store,
    remote: isReachable
      ? describeRemote(context, view, 'objects' in usage ? usage : undefined)
      : { location: context.remote.location, isReachable, error: view },
    rollbackCopies,
    disk,
    drill,
    journal: journal?.text,
  };
}

/** The log, or why it could not be read, within `patienceMs`. */
export function readRemoteOrError(context: Context): Promise<LogView | RemoteError> {
  return ask(context, readRemote);
}

async function ask<T>(
  context: Context,
  question: (context: Context) => Promise<T>,
): Promise<T | RemoteError> {
  const timeout = AbortSignal.timeout(patienceMs);
  const signal = context.signal === undefined ? timeout : AbortSignal.any([context.signal, timeout]);
  try {
    return await question({ ...context, signal });
  } catch (error) {
    if (!isSyncAgentError(error) || context.signal?.aborted === true) throw error;
    if (!timeout.aborted) return { code: error.code, message: error.message, remedy: error.remedy };
    return {
      code: 'REMOTE_UNREACHABLE',
      message: `Cannot read the log of ${context.remote.location}: no answer within ${patienceMs / 1000} s`,
      remedy: 'Check the network, the endpoint and the region',
    };
  }
}

function problemsOf(manifest: Manifest | undefined): RecordedProblems | undefined {
  return manifest && { damage: manifest.damage ?? [], findings: manifest.findings ?? [] };
}

/** What an interrupted restore left. A journal that cannot be read is described, not thrown. */
export async function describeJournal({
  home,
}: Context): Promise<{ readonly text: string; readonly isIncomplete: boolean } | undefined> {
  try {
    const journal = await readJournal(home);
    switch (journal?.type) {
      case undefined:
        return undefined;
      case 'swap':
        return {
          text: 'a swap of the store was interrupted; the next command that writes finishes or undoes it',
          isIncomplete: false,
        };
      case 'replace':
        return { text: `a restore of snapshot ${journal.snapshot} was interrupted`, isIncomplete: true };
    }
  } catch (error) {
    if (!(error instanceof SyncAgentError)) throw error;
    return { text: error.message, isIncomplete: true };
  }
}

async function describeStore(context: Context): Promise<StoreStatus> {
  const { home } = context;
  const path = home.store;
  if (!(await storeExists(home)))
    return { path, exists: false, adapter: undefined, files: 0, bytes: 0, users: [] };
  const [adapter, { files }, users] = await Promise.all([
    context.detectAdapter(path),
    scanStore(path, home.exclude),
    context.findStoreUsers(path),
  ]);
  return { path, exists: true, adapter: adapter.name, files: files.length, bytes: totalBytes(files), users };
}

function describeRemote({ remote }: Context, view: LogView, usage: RemoteUsage | undefined): RemoteStatus {
  const entries = view.snapshots.map(({ entry }) => entry);
  return {
    location: remote.location,
    isReachable: true,
    snapshots: entries.length,
    bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0),
    isShared: entries.some((entry) => entry.linked === true),
    usage,
    damagedCommits: view.damaged.map(({ error }) => error.message),
  };
}

const nothingKnown: LogView = {
  serverTime: new Date(0),
  head: undefined,
  snapshots: [],
  commits: [],
  damaged: [],
};
