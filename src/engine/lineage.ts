import { storeExists } from '../home/home.ts';
import { noRemoteState, readState, writeState } from '../home/state.ts';
import type { LocalState, RemoteState } from '../home/state.ts';
import type { LogView } from '../log/commit-log.ts';
import type { LogEntry } from '../log/manifest.ts';
import { fingerprint, storeIdentity } from '../stores/content/fingerprint.ts';
import { scanStore } from '../stores/content/scan.ts';
import type { ScanResult } from '../stores/content/scan.ts';
import type { Context } from './context.ts';
import { readKnownCommit } from './known-manifests.ts';
import { manifestIfReadable } from './remote-log.ts';
import { hasContentOfSnapshot } from './restore/compare-content.ts';
import type { RestoreFacts } from './restore/plan-restore.ts';

/** Where the local store stands in the remote's history. */
export interface Lineage {
  /** Whether there is a store at all. */
  readonly exists: boolean;
  /** The snapshot that the store was last equal to; undefined if nobody knows. */
  readonly parent: string | undefined;
  /** Nothing was written since the store was equal to `parent`. Proof, not a guess. */
  readonly isUnchanged: boolean;
  /** The remote has lost the commit of `parent`: the log once went on to it from where it ends now. */
  readonly isParentLost: boolean;
  readonly state: RemoteState;
}

/** The facts that a restore decides by, for a store that grew from snapshot `parent`. */
export function knownFacts(
  { isUnchanged, isParentLost, state }: Lineage,
  parent: string,
): Extract<RestoreFacts['local'], { type: 'known' }> {
  const { settled } = state;
  const parentGeneration = state.parent?.generation;
  return { type: 'known', parent, parentGeneration, isParentLost, isUnchanged, settled };
}

/** `given`: a scan of the store, made just before; default: a new one. */
export async function readLineage(context: Context, view: LogView, given?: ScanResult): Promise<Lineage> {
  const { home } = context;
  if (!(await storeExists(home)))
    return {
      exists: false,
      parent: undefined,
      isUnchanged: false,
      isParentLost: false,
      state: noRemoteState,
    };
  const local = await readState(home);
  const isOurs = local !== undefined && local.identity === (await storeIdentity(home.store));
  const recorded = isOurs ? (local.remotes[context.remoteId] ?? recordOfMoved(local, view)) : undefined;
  if (recorded === undefined)
    return { exists: true, parent: undefined, isUnchanged: false, isParentLost: false, state: noRemoteState };
  const state = adoptPending(recorded, view);
  const parent = state.parent?.id;
  const scan = given ?? (await scanStore(home.store, home.exclude));
  const isUnchanged =
    (state.fingerprint !== null && state.fingerprint === fingerprint(scan)) ||
    (parent !== undefined &&
      parent !== view.snapshots.at(-1)?.entry.id &&
      (await stillEquals(context, view, parent, scan)));
  return { exists: true, parent, isUnchanged, isParentLost: await isLost(context, view, state), state };
}

/**
 * Generations never go back. So a parent above all of them was lost, or this is another remote behind the same name, whose
 * newest snapshot the parent's commit does not name.
 */
async function isLost(context: Context, view: LogView, { parent }: RemoteState): Promise<boolean> {
  const newest = view.snapshots.at(-1)?.entry.id;
  if (parent === null || newest === undefined) return false;
  if (parent.generation <= (view.commits.at(-1)?.generation ?? 0)) return false;
  const known = await readKnownCommit(context);
  return known?.manifest.log.some((entry) => entry.id === newest) ?? false;
}

/**
 * If the remote moved on, it matters whether the store did too. If the times cannot tell, the content does: touched
 * files, or a backup right after a write, are no divergence.
 */
async function stillEquals(
  context: Context,
  view: LogView,
  parent: string,
  scan: ScanResult,
): Promise<boolean> {
  const entry = view.snapshots.find((each) => each.entry.id === parent)?.entry;
  if (entry === undefined) return false;
  const manifest = await manifestIfReadable(context, view, entry);
  return manifest !== undefined && hasContentOfSnapshot(context, manifest, scan);
}

/**
 * A remote that was moved has another name here but the same snapshots, since ids are never used again. So the record
 * under the old name is true for it, except whether it enforces create-only writes.
 */
function recordOfMoved({ remotes }: LocalState, { snapshots }: LogView): RemoteState | undefined {
  const age = ({ parent }: RemoteState): number =>
    snapshots.findLastIndex(({ entry }) => entry.id === parent?.id);
  const [newest] = Object.values(remotes).toSorted((a, b) => age(b) - age(a));
  return newest !== undefined && age(newest) >= 0 ? { ...newest, createOnly: null } : undefined;
}

/** Adopts a commit whose answer was lost, or whose host died before it recorded the success. */
function adoptPending(state: RemoteState, view: LogView): RemoteState {
  const found = view.snapshots.find(({ entry }) => entry.id === state.pending?.id);
  if (found === undefined || state.pending === null) return state;
  return {
    ...state,
    parent: parentRef(view, found.entry),
    fingerprint: state.pending.fingerprint,
    pending: null,
  };
}

/** Records a parent that was adopted, if one was: the log of what is written goes on behind it. */
export async function recordAdopted(context: Context, { state }: Lineage): Promise<void> {
  const recorded = (await readState(context.home))?.remotes[context.remoteId];
  if (recorded != null && recorded.pending !== null && recorded.pending.id === state.parent?.id)
    await recordRemoteState(context, state);
}

/** The form in which the local state names the snapshot that the store is equal to. */
export function parentRef(view: LogView, { id, generation }: LogEntry): NonNullable<RemoteState['parent']> {
  const commit = view.commits.find((each) => each.generation === generation);
  return { id, generation, lastModifiedMs: commit?.lastModified.getTime() ?? 0 };
}

/** Replaces the state of this remote. The states of other remotes stay only if the store is still the same one. */
export async function recordRemoteState(context: Context, remoteState: RemoteState): Promise<void> {
  const identity = await storeIdentity(context.home.store);
  const local = await readState(context.home);
  const kept = local?.identity === identity ? local : { remotes: {} };
  const remotes = { ...kept.remotes, [context.remoteId]: remoteState };
  await writeState(context.fs, context.home, { ...kept, format: 1, identity, remotes });
}
