import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import { readLog } from '../../log/commit-log.ts';
import { createCommit } from '../../log/create-commit.ts';
import type { LogView } from '../../log/commit-log.ts';
import { planKeepingAll, planRetention, reliableMs } from '../../log/retention.ts';
import { commitKey, snapshotOfKey } from '../../log/layout.ts';
import { closeGaps } from '../../log/close-gaps.ts';
import { logEntryOf, pinsOf } from '../../log/manifest.ts';
import type { LogEntry, Manifest, Pin } from '../../log/manifest.ts';
import { byPrecedence } from '../../log/precedence.ts';
import type { RetentionPlan } from '../../log/retention.ts';
import type { Context } from '../context.ts';
import { warnOfDamage } from '../remote-log.ts';
import { keysReliedOn } from '../relied-on.ts';

export type ManifestDraft = Omit<Manifest, 'generation' | 'log' | 'resolved' | 'pins'>;

export interface CommitWork {
  /** What to commit after a given log. Called again each time another host takes the number. */
  readonly draft: (view: LogView) => ManifestDraft | Promise<ManifestDraft>;
  /** The log as read when the operation began. */
  readonly view: LogView;
  /** Whether the remote takes create-only writes. */
  readonly createOnly: boolean;
  /** By the server's clock: when the operation began, and when the server last answered. */
  readonly startedAt: Date;
  readonly lastServerTime: Date | undefined;
  /** Which snapshots stay; default: as the retention rule says. */
  readonly retain?: (view: LogView) => RetentionPlan;
  /** Every snapshot stays, whatever the retention rule says. */
  readonly keepsAll?: boolean;
  readonly resolve?: readonly string[];
  /** The pins from now on; default: the present ones. Called again like `draft`. */
  readonly pins?: (view: LogView) => readonly Pin[];
}

/** A commit that is there. What the log says after it is not known yet. */
export interface Created {
  readonly manifest: Manifest;
  /** By the server's clock. */
  readonly serverTime: Date;
  /** The log that the commit extends. */
  readonly before: LogView;
  readonly dropped: readonly LogEntry[];
}

export interface Committed extends Created {
  /** Of the commit's object. */
  readonly lastModifiedMs: number;
  /** The log as read after the commit. */
  readonly after: LogView;
}

/**
 * **The commit point of every operation.** Creates the next number of the log. Its manifest lists all live snapshots, so
 * the creator of a number has seen all lower ones, and a commit that it does not list is void from now on.
 *
 * A host that worked, or slept, for more than half the grace period gives up with BUSY and commits nothing: after the whole
 * grace period, others may delete its files.
 */
export async function commitSnapshot(context: Context, work: CommitWork): Promise<Created> {
  const { settings, signal } = context;
  let { view } = work;
  warnOfDamage(context, view);
  let now = latest(view.serverTime, work.lastServerTime);
  for (;;) {
    const elapsedMs = now.getTime() - work.startedAt.getTime();
    if (elapsedMs > reliableMs(settings.graceMs)) throw tooSlow(elapsedMs, settings.graceMs);
    const draft = await work.draft(view);
    if (view !== work.view) await assertStillThere(context, draft, view);
    const plan = work.retain?.(view) ?? retainByRule(context, view, draft, work.keepsAll ?? false);
    const resolved = [...(view.head?.resolved ?? []), ...(work.resolve ?? [])];
    const { entries, settled } = closeGaps(plan.retained, plan.dropped, resolved);
    const live = new Map(entries.map((entry) => [entry.id, entry]));
    const pins = (work.pins?.(view) ?? [...pinsOf(view.head, view.serverTime).values()]).filter(({ id }) =>
      live.has(id),
    );
    const manifest: Manifest = {
      ...draft,
      parent: live.get(draft.id)?.parent ?? draft.parent,
      generation: nextGeneration(view),
      log: entries.filter((entry) => entry.id !== draft.id).toSorted((a, b) => a.generation - b.generation),
      resolved: [...new Set([...resolved, ...settled])].filter((id) => live.has(id)),
      ...(pins.length > 0 ? { pins } : {}),
    };
    const created = await createCommit(context, manifest, { createOnly: work.createOnly, signal });
    if (created !== undefined)
      return { manifest, serverTime: created.serverTime, before: view, dropped: plan.dropped };
    view = await readLog(context, { signal });
    now = view.serverTime;
  }
}

/** The log after a commit. The snapshot exists whatever happens now, so an unreachable remote is a warning, and undefined. */
export async function readLogAfter(context: Context, { manifest }: Created): Promise<LogView | undefined> {
  try {
    const known = { manifest, lastModifiedMs: undefined };
    return await readLog(context, { known, signal: context.signal });
  } catch (error) {
    if (!isSyncAgentError(error, 'REMOTE_UNREACHABLE')) throw error;
    context.emit({
      type: 'warning',
      code: error.code,
      message: `The snapshot is committed, but the log could not be read again: ${error.message}`,
    });
    return undefined;
  }
}

/**
 * A host that slept between reading the log and creating its number may have created one that was used and freed in the
 * meantime. No later commit lists it then. It is void, nobody will read it, and this rejects with BUSY. `read`: as `readLogAfter`.
 */
export async function confirmCommit(
  context: Context,
  created: Created,
  read = readLogAfter(context, created),
): Promise<Committed> {
  const { manifest } = created;
  const after = (await read) ?? assumedAfter(created);
  const isLive = after.snapshots.some(({ entry }) => entry.id === manifest.id);
  if (!isLive && after.head !== undefined) {
    await context.remote.remove([commitKey(manifest.generation)], { signal: context.signal });
    throw new SyncAgentError(
      'BUSY',
      `Cannot commit snapshot ${manifest.id}: this host was stopped while others went on`,
      {
        remedy: 'Run the backup again',
      },
    );
  }
  const object = after.commits.find((commit) => commit.generation === manifest.generation);
  return { ...created, lastModifiedMs: object?.lastModified.getTime() ?? 0, after };
}

/** The log after a commit, if no other host has committed meanwhile. */
function assumedAfter({ manifest, before }: Created): LogView {
  const kept = new Set(manifest.log.map((entry) => entry.id));
  const snapshots = before.snapshots.filter(({ entry }) => kept.has(entry.id));
  return {
    ...before,
    head: manifest,
    snapshots: [...snapshots, { entry: logEntryOf(manifest), ageMs: 0 }].toSorted((a, b) =>
      byPrecedence(a.entry, b.entry),
    ),
    damaged: [],
  };
}

/**
 * A snapshot may rely on objects of older ones. The log has moved on since they were chosen. Objects that it still relies on
 * stay, because rotation asks the same log. Others may be gone.
 */
async function assertStillThere(context: Context, draft: ManifestDraft, view: LogView): Promise<void> {
  const live = new Set(view.snapshots.map(({ entry }) => entry.id));
  const borrowed = context.formats
    .of(draft)
    .reliedOn(draft)
    .filter(({ key }) => snapshotOfKey(key) !== draft.id && !live.has(snapshotOfKey(key) ?? ''));
  if (borrowed.length === 0) return;
  const named = await keysReliedOn(context, view);
  const lost = borrowed.find(({ key }) => !named.has(key));
  if (lost === undefined) return;
  throw new SyncAgentError(
    'BUSY',
    `Cannot commit snapshot ${draft.id}: another host let go of "${lost.key}" meanwhile`,
    { remedy: 'Run the backup again' },
  );
}

function retainByRule(
  context: Context,
  view: LogView,
  draft: ManifestDraft,
  keepsAll: boolean,
): RetentionPlan {
  const own = {
    entry: logEntryOf({ ...draft, generation: nextGeneration(view), log: [], resolved: [] }),
    ageMs: 0,
  };
  const others = view.snapshots.filter(({ entry }) => entry.id !== draft.id);
  const snapshots = [...others, own].toSorted((a, b) => byPrecedence(a.entry, b.entry));
  if (keepsAll) return planKeepingAll(snapshots.map(({ entry }) => entry));
  return planRetention(snapshots, context.settings, {
    resolved: view.head?.resolved ?? [],
    pinned: [...pinsOf(view.head, view.serverTime).keys()],
  });
}

const nextGeneration = (view: LogView): number => (view.commits.at(-1)?.generation ?? 0) + 1;

function latest(a: Date, b: Date | undefined): Date {
  return b !== undefined && b > a ? b : a;
}

function tooSlow(elapsedMs: number, graceMs: number): SyncAgentError {
  const seconds = (ms: number): number => Math.round(ms / 1000);
  return new SyncAgentError(
    'BUSY',
    `Cannot commit the snapshot: it took ${seconds(elapsedMs)} s, more than half the grace period of ${seconds(graceMs)} s`,
    { remedy: 'Run the backup again, or raise --grace on every host that uses this remote' },
  );
}
