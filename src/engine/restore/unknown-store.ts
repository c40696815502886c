import type { LogView } from '../../log/commit-log.ts';
import { fingerprint, isSettled } from '../../stores/content/fingerprint.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { ScanResult } from '../../stores/content/scan.ts';
import { hasContentOfSnapshot, snapshotsOfSize } from './compare-content.ts';
import type { Context } from '../context.ts';
import { manifestIfReadable } from '../remote-log.ts';
import type { Lineage } from '../lineage.ts';
import type { RestoreFacts } from './plan-restore.ts';

export interface UnknownStore {
  readonly facts: Extract<RestoreFacts['local'], { type: 'unknown' }>;
  /** Of the store as it was compared. Null if a later write could have the same timestamp. */
  readonly fingerprint: string | null;
}

/** Describes a stopped store that has no local state. Only its content can say where it comes from. */
export async function describeUnknownStore(
  context: Context,
  view: LogView,
  lineage: Lineage,
): Promise<UnknownStore> {
  const lookedAtMs = context.clock.now();
  const scan = await scanStore(context.home.store, context.home.exclude);
  const equals = await findEqualSnapshot(context, view, scan);
  const isEmpty = equals === undefined && (await isEmptyStore(context));
  return {
    facts: { type: 'unknown', equals, isEmpty, settled: lineage.state.settled },
    fingerprint: isSettled(scan.files, lookedAtMs) ? fingerprint(scan) : null,
  };
}

/** False if a process uses the store: it may be about to write. */
async function isEmptyStore({ home, signal, detectAdapter, findStoreUsers }: Context): Promise<boolean> {
  if ((await findStoreUsers(home.store)).length > 0) return false;
  return (await detectAdapter(home.store)).holdsNothing(home.store, { signal });
}

/** The newest live snapshot with the store's content. */
async function findEqualSnapshot(
  context: Context,
  view: LogView,
  store: ScanResult,
): Promise<string | undefined> {
  const hashes = new Map<string, string>();
  for (const { entry } of snapshotsOfSize(view.snapshots, store.files, context.home.exclude).toReversed()) {
    const manifest = await manifestIfReadable(context, view, entry);
    if (manifest !== undefined && (await hasContentOfSnapshot(context, manifest, store, hashes)))
      return entry.id;
  }
  return undefined;
}
