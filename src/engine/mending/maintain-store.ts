import { join } from 'node:path';
import { SyncAgentError } from '../../platform/errors.ts';
import { stagingRoot } from '../../home/home.ts';
import { totalBytes } from '../../log/manifest.ts';
import type { StoreAdapter } from '../../stores/adapter.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { JournalMode, Maintained, MaintenanceEstimate, StoreMending } from '../../stores/mending.ts';
import { inPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { lastKnownManifest } from '../known-manifests.ts';
import { messagesOf } from '../soundness/soundness.ts';
import { adapterForCapture } from '../soundness/judge-store.ts';
import { lookAside } from './look-aside.ts';
import { placeMendedCopy } from './mended-copy.ts';
import { snapshotOfStore } from './snapshot-of-store.ts';
import { lookAtStopped } from './stopped-store.ts';
import type { StoppedStore } from './stopped-store.ts';

export interface MaintainStoreOptions {
  /** How SQLite keeps what a transaction changes, from now on. Default: as it is. */
  readonly journalMode?: JournalMode;
  /** Estimate what would be gained, and do nothing. Makes no request. */
  readonly dryRun?: boolean;
}

export type MaintainStoreResult =
  | ({ readonly type: 'planned' } & MaintenanceEstimate)
  | ({
      readonly type: 'maintained';
      /** The snapshot that holds the store as it was. */
      readonly snapshot: string;
      /** Of the store. */
      readonly bytesBefore: number;
      readonly bytesAfter: number;
      readonly records: number;
      /** Name of the copy of the store as it was; undefined if none is kept. */
      readonly rollbackCopy: string | undefined;
    } & Maintained);

/**
 * Maintains a stopped store on a copy, after a snapshot of it, and puts the copy in its place: see `placeMendedCopy`. The caller
 * holds the store's lock, and has finished an interrupted restore.
 */
export async function maintainStore(
  context: Context,
  { journalMode, dryRun = false }: MaintainStoreOptions = {},
): Promise<MaintainStoreResult> {
  const { home, settings, signal } = context;
  const { adapter, mending, found } = await mendingOf(context);
  const scratch = join(stagingRoot(home), 'scratch');
  const estimate = await lookAside(context, found, adapter, async (dir) => {
    try {
      await adapter.reading?.assertKnown(dir, { scratch });
      return dryRun ? await mending.estimateMaintenance(dir, { scratch, signal }) : undefined;
    } finally {
      await context.fs.remove(scratch);
    }
  });
  if (estimate !== undefined) return { type: 'planned', ...estimate };
  const snapshot = await snapshotOfStore(context, 'maintain');
  const stopped = await lookAtStopped(context, 'maintain');
  const before = await lastKnownManifest(context);
  let maintained: Maintained | undefined;
  let [records, bytesAfter] = [0, 0];
  const work = async (dir: string): Promise<boolean> => {
    maintained = await inPhase(context, 'mend', () => mending.maintain(dir, { journalMode, signal }));
    const report = await inPhase(context, 'validate', () => adapter.inspect(dir, { level: 'full', signal }));
    records = report.statistics.records;
    assertSame(context, messagesOf(report.damage), { records, before: before?.statistics.records });
    bytesAfter = totalBytes((await scanStore(dir)).files);
    return true;
  };
  const placed = await placeMendedCopy(context, stopped, { rollbackCopies: settings.rollbackCopies, work });
  if (maintained === undefined)
    throw new SyncAgentError('INTERNAL', 'Cannot maintain the store: nothing was done');
  const bytesBefore = totalBytes(stopped.scan.files);
  const { rollbackCopy } = placed ?? {};
  return { type: 'maintained', snapshot, bytesBefore, bytesAfter, records, rollbackCopy, ...maintained };
}

async function mendingOf(context: Context): Promise<{
  readonly adapter: StoreAdapter;
  readonly mending: StoreMending;
  readonly found: StoppedStore;
}> {
  const found = await lookAtStopped(context, 'maintain');
  const adapter = await adapterForCapture(context, await lastKnownManifest(context));
  const { name, mending } = adapter;
  if (mending !== undefined) return { adapter, mending, found };
  throw new SyncAgentError(
    'USAGE',
    `Cannot maintain "${context.home.store}": nobody knows how to maintain a store of the kind "${name}"`,
  );
}

/** What comes out of it must hold what went in. */
function assertSame(
  { home }: Context,
  damage: string,
  { records, before = records }: { readonly records: number; readonly before: number | undefined },
): void {
  if (damage !== '') {
    throw new SyncAgentError('STORE_CORRUPT', `Cannot maintain "${home.store}": ${damage}`, {
      remedy: 'The store is as it was. "sync-agent repair --dry-run" says what can be mended',
    });
  }
  if (records === before) return;
  throw new SyncAgentError(
    'INTERNAL',
    `Cannot maintain "${home.store}": the copy has ${records} records instead of ${before}, and the store is as it was`,
  );
}
