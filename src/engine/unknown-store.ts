import type { LogView } from '../snapshot/commit-log.ts';
import { scanStore } from '../store/scan.ts';
import type { ScanResult } from '../store/scan.ts';
import { hasContentOfSnapshot } from './compare-content.ts';
import type { Context } from './context.ts';
import { manifestIfReadable } from './lineage.ts';
import type { RestoreFacts } from './plan-restore.ts';

/** Looks at a stopped store that no local state speaks of. */
export async function describeUnknownStore(
  context: Context,
  view: LogView,
): Promise<Extract<RestoreFacts['local'], { type: 'unknown' }>> {
  const { home, signal } = context;
  const scan = await scanStore(home.store);
  const { files } = scan;
  const adapter = await context.detectAdapter(home.store);
  const newestWriteMs = files.reduce(
    (newest, file) => Math.max(newest, Number(file.mtimeNs / 1_000_000n)),
    0,
  );
  // Who opens a FIFO waits for ever; and what no snapshot can hold is neither empty nor to be judged by us.
  if (scan.oddities.length > 0)
    return { type: 'unknown', equals: undefined, isEmpty: false, isSound: true, newestWriteMs };
  const [equals, report] = await Promise.all([
    findEqualSnapshot(context, view, scan),
    adapter.inspect(home.store, { level: 'quick', signal }),
  ]);
  return {
    type: 'unknown',
    equals,
    isEmpty: files.length === 0 || (report.problems.length === 0 && report.statistics.records === 0),
    isSound: report.problems.length === 0,
    newestWriteMs,
  };
}

/** The newest live snapshot with the store's content. */
async function findEqualSnapshot(
  context: Context,
  view: LogView,
  store: ScanResult,
): Promise<string | undefined> {
  const hashes = new Map<string, string>();
  for (const { entry } of view.snapshots.toReversed()) {
    const manifest = await manifestIfReadable(context, view, entry);
    if (manifest !== undefined && (await hasContentOfSnapshot(context, manifest, store, hashes)))
      return entry.id;
  }
  return undefined;
}
