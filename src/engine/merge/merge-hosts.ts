import type { LogView } from '../../log/commit-log.ts';
import type { LogEntry, Manifest } from '../../log/manifest.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { LogPosition, OperationLog } from '../../stores/operation-log.ts';
import type { RecordSource, RecordTarget } from '../../stores/record-source.ts';
import { readLogRun } from '../continuous/read-log.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { chooseSnapshot } from '../history/choose-snapshot.ts';
import { withRecordSource } from '../records/with-record-source.ts';
import { manifestOf, readRemote } from '../remote-log.ts';
import type { StoreSource } from '../reading/store-source.ts';
import { carryOut } from './carry-out.ts';
import { bothReach, commonSnapshot, lineOf, noCommonPosition, reachOf } from './common-position.ts';
import type { CommonSnapshot, Reach } from './common-position.ts';
import { keyOf as subjectKey, lastWrites } from './last-writes.ts';
import type { MergeOptions, MergeResult } from './merge-result.ts';
import { planMerge } from './plan-merge.ts';
import type { MergePlan, Times } from './plan-merge.ts';

export interface MergePorts {
  readonly target: RecordTarget;
  /** The server's records of one tenant. Undefined if it does not have the tenant. */
  readonly openServer: (tenant: string) => Promise<RecordSource | undefined>;
  /** Makes sure that one can go back to what the server has, which is snapshot `ours`. Resolves to the snapshot. */
  readonly protect: (ours: string) => Promise<string>;
}

/**
 * Brings what one host wrote since a common position into the server that has the records of the other. Both are snapshots, with their logs. All
 * is decided by the records there and at the common position, before anything is written: the net changes of each side, not one write after the
 * other, so that a purged queue and snapshots in between do not matter. Another run goes on where one stopped: what the server has already
 * is not written again. REFUSED if the two have no common position.
 */
export async function mergeHosts(
  context: Context,
  { ours, theirs }: { readonly ours: string; readonly theirs: string },
  ports: MergePorts,
  options: MergeOptions,
): Promise<MergeResult> {
  // Before snapshots are downloaded.
  await ports.target.maxBatch(context.signal);
  const view = await readRemote(context);
  const entries = view.snapshots.map(({ entry }) => entry);
  const [a, b] = [chooseSnapshot(entries, ours), chooseSnapshot(entries, theirs)];
  if (a.id === b.id)
    throw new SyncAgentError('USAGE', `Cannot merge snapshot ${a.id} into itself`, {
      remedy: '"sync-agent list" shows the snapshots of both hosts',
    });
  const common = commonSnapshot(entries, a, b);
  await assertNewest(context, view, common, [a, b]);
  const whole = (id: string) => ({ type: 'snapshot', snapshot: id, log: 'whole' }) as const;
  return withRecordSource(context, whole(a.id), undefined, (ourSource, _, ourStore) =>
    withRecordSource(context, whole(b.id), undefined, async (theirSource, __, theirStore) => {
      const parting = await partingOf(context, view, common, { ourStore, theirStore });
      const { reach } = parting;
      const base = { type: 'snapshot', snapshot: common.snapshot.id, log: { upTo: reach.most } } as const;
      return withRecordSource(context, base, undefined, async (baseSource) => {
        enterPhase(context, 'verify');
        const times =
          options.prefer === 'newest' ? await timesOf(context, view, { a, b, common, parting }) : undefined;
        const plan = await planMerge(
          { base: baseSource, ours: ourSource, theirs: theirSource },
          { ...ports, ...options, unsure: parting.unsure, times, signal: context.signal },
        );
        const found: Omit<MergeResult, 'type' | 'snapshot'> = {
          ours: a.id,
          theirs: b.id,
          base: {
            snapshot: common.snapshot.id,
            segments: reach.most,
            operation: (parting.ends[reach.most - 1] ?? parting.start)?.number ?? null,
            isExact: reach.least === reach.most,
          },
          collections: plan.collections,
          notes: plan.notes,
          problems: plan.problems,
          differences: plan.differences,
        };
        if (plan.problems.length > 0) return { type: 'refused', ...found, snapshot: null };
        if (options.dryRun === true) return { type: 'planned', ...found, snapshot: null };
        return { type: 'merged', ...found, snapshot: await write(context, ports, plan, a) };
      });
    }),
  );
}

async function write(
  context: Context,
  { target, protect }: MergePorts,
  { work }: MergePlan,
  ours: LogEntry,
): Promise<string | null> {
  if (work.length === 0) return null;
  const snapshot = await protect(ours.id);
  await carryOut(context, target, work);
  return snapshot;
}

/**
 * A side whose first snapshot after the common one was made of it, and not of one that is gone, parted there. If no side did, both may have
 * had something newer in common. A commit that was written again may name an ancestor in the place of a parent that is gone: it proves nothing.
 */
async function assertNewest(
  context: Context,
  view: LogView,
  { snapshot, ...first }: CommonSnapshot,
  [a, b]: readonly [LogEntry, LogEntry],
): Promise<void> {
  let isForeign = false;
  for (const side of [first.ours, first.theirs]) {
    if (side === undefined) return;
    const { parent, committedAt } = await manifestOf(context, view, side);
    if (parent !== snapshot.id) isForeign = true;
    else if (committedAt === undefined) return;
  }
  if (isForeign)
    throw noCommonPosition(a.id, b.id, 'the snapshots that they went on from are not in the remote any more');
}

/** Where two sides parted in the log of their common snapshot. */
interface Parting {
  readonly log: OperationLog | undefined;
  /** Where the snapshot itself stands, and where its segments end. */
  readonly start: LogPosition | undefined;
  readonly ends: readonly LogPosition[];
  readonly ours: Reach;
  readonly theirs: Reach;
  /** What both have. */
  readonly reach: Reach;
  /** Keys of the records that were written where nobody knows whether both have it. */
  readonly unsure: ReadonlySet<string>;
}

async function partingOf(
  context: Context,
  view: LogView,
  { snapshot, ...first }: CommonSnapshot,
  { ourStore, theirStore }: { readonly ourStore: StoreSource; readonly theirStore: StoreSource },
): Promise<Parting> {
  const manifest: Manifest = await manifestOf(context, view, snapshot);
  const { id, position } = manifest;
  const log = await context.adapterNamed(manifest.adapter).operationLog?.();
  const ends: LogPosition[] = [];
  if (position !== undefined)
    await readLogRun(context, { snapshot: id, position }, ({ head }) => void ends.push(head.to));
  const all = { least: ends.length, most: ends.length };
  const reachIn = (entry: LogEntry | undefined, { dir, scratch }: StoreSource): Reach =>
    entry === undefined ? all : reachOf(ends, (end) => log?.wasAt(dir, end, scratch) ?? 'unknown');
  const [ours, theirs] = [reachIn(first.ours, ourStore), reachIn(first.theirs, theirStore)];
  const reach = bothReach(ours, theirs);
  const unsure = new Set<string>();
  if (position !== undefined && reach.least < reach.most)
    await readLogRun(context, { snapshot: id, position, upTo: reach.most }, ({ head, lines }) => {
      if (head.number <= reach.least) return;
      for (const line of lines) {
        const subject = log?.subjectOf(line);
        if (subject !== undefined) unsure.add(subjectKey(subject));
      }
    });
  return { log, start: position, ends, ours, theirs, reach, unsure };
}

async function timesOf(
  context: Context,
  view: LogView,
  {
    a,
    b,
    common,
    parting: { log, ours, theirs, reach },
  }: {
    readonly a: LogEntry;
    readonly b: LogEntry;
    readonly common: CommonSnapshot;
    readonly parting: Parting;
  },
): Promise<Times> {
  const entries = view.snapshots.map(({ entry }) => entry);
  const lineFrom = (side: LogEntry): readonly LogEntry[] => {
    const line = lineOf(entries, side);
    return line.slice(0, line.findIndex(({ id }) => id === common.snapshot.id) + 1).toReversed();
  };
  const of = (side: LogEntry, { most }: Reach) =>
    lastWrites(context, view, log, { line: lineFrom(side), after: reach.least, upTo: most });
  return { ours: await of(a, ours), theirs: await of(b, theirs) };
}
