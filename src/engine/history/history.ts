import type { LogView } from '../../log/commit-log.ts';
import type { LogEntry, Manifest, Pin } from '../../log/manifest.ts';
import { pinsOf } from '../../log/manifest.ts';
import { unresolvedTips } from '../../log/retention.ts';
import { concurrently } from '../../platform/concurrently.ts';
import { logReach } from '../continuous/log-reach.ts';
import type { LogReach } from '../continuous/log-reach.ts';
import type { Context } from '../context.ts';
import { manifestOf, readRemote, warnOfDamage } from '../remote-log.ts';
import { chooseSnapshot } from './choose-snapshot.ts';

export interface SnapshotSummary extends LogEntry {
  /** Age of its commit by the server's clock, milliseconds. */
  readonly ageMs: number;
  /** No snapshot's parent, and not settled. More than one tip means that several hosts wrote at the same time. */
  readonly isTip: boolean;
  /** Undefined if it is not pinned. */
  readonly pin: Pin | undefined;
  /** What was saved behind it. Absent if it has no log, or if nobody looked. */
  readonly log?: LogReach;
}

/**
 * Live snapshots, oldest first. Costs two requests, or one if this host knows the newest commit; and two for each snapshot that has a log,
 * one more for each 1,000 segments of it.
 */
export async function listSnapshots(context: Context): Promise<readonly SnapshotSummary[]> {
  const view = await readRemote(context);
  warnOfDamage(context, view);
  const { concurrency } = context.settings;
  return concurrently(summarise(view), { concurrency, signal: context.signal }, async (summary, signal) =>
    summary.logged === true
      ? { ...summary, log: await logReach({ ...context, signal }, summary.id) }
      : summary,
  );
}

export function summarise(view: LogView): readonly SnapshotSummary[] {
  const entries = view.snapshots.map(({ entry }) => entry);
  const tips = new Set(unresolvedTips(entries, view.head?.resolved ?? []).map((tip) => tip.id));
  const pins = pinsOf(view.head, view.serverTime);
  return view.snapshots.map(({ entry, ageMs }) => ({
    ...entry,
    ageMs,
    isTip: tips.has(entry.id),
    pin: pins.get(entry.id),
  }));
}

/** A manifest, with the pin that the newest commit has for it. */
export interface ShownSnapshot extends Omit<Manifest, 'pins'> {
  readonly pin: Pin | undefined;
  /** What was saved behind it. Absent if it has no log. */
  readonly logReach?: LogReach;
}

/** A snapshot's whole manifest. `name`: as for a restore. */
export async function showSnapshot(context: Context, name: string): Promise<ShownSnapshot> {
  const view = await readRemote(context);
  const entries = view.snapshots.map(({ entry }) => entry);
  const { pins: _, ...manifest } = await manifestOf(context, view, chooseSnapshot(entries, name));
  return {
    ...manifest,
    pin: pinsOf(view.head, view.serverTime).get(manifest.id),
    ...(manifest.position === undefined ? {} : { logReach: await logReach(context, manifest.id) }),
  };
}

export interface SnapshotDiff {
  readonly from: string;
  readonly to: string;
  readonly files: readonly {
    readonly path: string;
    readonly change: 'added' | 'removed' | 'changed';
    readonly bytes: number;
  }[];
  readonly bytes: { readonly from: number; readonly to: number };
  readonly records: { readonly from: number; readonly to: number };
  readonly collections: readonly { readonly name: string; readonly from: number; readonly to: number }[];
}

/** What changed from one snapshot to another: files by content, and records by collection. */
export async function diffSnapshots(context: Context, from: string, to: string): Promise<SnapshotDiff> {
  const view = await readRemote(context);
  const entries = view.snapshots.map(({ entry }) => entry);
  const [a, b] = [chooseSnapshot(entries, from), chooseSnapshot(entries, to)];
  return diffManifests(await manifestOf(context, view, a), await manifestOf(context, view, b));
}

export function diffManifests(a: Manifest, b: Manifest): SnapshotDiff {
  const before = new Map(a.files.map((file) => [file.path, file]));
  const after = new Map(b.files.map((file) => [file.path, file]));
  const files: SnapshotDiff['files'][number][] = [];
  for (const path of [...new Set([...before.keys(), ...after.keys()])].toSorted()) {
    const [old, fresh] = [before.get(path), after.get(path)];
    if (old === undefined && fresh !== undefined) files.push({ path, change: 'added', bytes: fresh.size });
    else if (fresh === undefined && old !== undefined)
      files.push({ path, change: 'removed', bytes: old.size });
    else if (old?.sha256 !== fresh?.sha256 || old?.mode !== fresh?.mode) {
      files.push({ path, change: 'changed', bytes: fresh?.size ?? 0 });
    }
  }
  const counts = (manifest: Manifest): ReadonlyMap<string, number> =>
    new Map((manifest.statistics.collections ?? []).map((each) => [each.name, each.records]));
  const [theirs, ours] = [counts(a), counts(b)];
  const sum = (manifest: Manifest): number => manifest.files.reduce((total, file) => total + file.size, 0);
  return {
    from: a.id,
    to: b.id,
    files,
    bytes: { from: sum(a), to: sum(b) },
    records: { from: a.statistics.records, to: b.statistics.records },
    collections: [...new Set([...theirs.keys(), ...ours.keys()])]
      .toSorted()
      .map((name) => ({ name, from: theirs.get(name) ?? 0, to: ours.get(name) ?? 0 }))
      .filter((each) => each.from !== each.to),
  };
}
