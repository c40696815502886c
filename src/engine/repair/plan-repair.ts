import { epochMsOf } from '../../log/layout.ts';
import { logEntryOf } from '../../log/manifest.ts';
import type { LogEntry, Manifest } from '../../log/manifest.ts';
import { byPrecedence } from '../../log/precedence.ts';
import type { Remains } from './read-remains.ts';

/** What describes a snapshot. `files`: nothing else is left, so its files are read. */
export type Origin = 'commit' | 'copy' | 'manifest.json' | 'files';

export interface PlannedSnapshot {
  readonly entry: LogEntry;
  readonly origin: Origin;
  /** Undefined if `origin` is `files`. */
  readonly manifest: Manifest | undefined;
}

export interface RepairPlan {
  /** The newest manifest that says what is live, wherever it was found. Undefined if there is none. */
  readonly head: Manifest | undefined;
  readonly isHeadCommitted: boolean;
  /** A commit that the head does not build on: it was lost, and its number was used again. */
  readonly rival: Manifest | undefined;
  /** The live snapshots, oldest first. */
  readonly snapshots: readonly PlannedSnapshot[];
  /** Directories that may be snapshots although nothing readable names them, oldest first. */
  readonly candidates: readonly string[];
  /** Directories that were never committed, or were dropped. They stay, and a later rotation deletes them. */
  readonly unnamed: readonly string[];
}

/**
 * Decides what the log of a remote was, by what is left of it. The highest number says what is live, in a commit, a copy or
 * `manifest.json`. Other directories count only if a description is known to be lost: nothing else is left, or a commit
 * that cannot be read has no copy. Pure.
 */
export function planRepair(remains: Remains): RepairPlan {
  const { commits, copies, published, directories } = remains;
  const sound = [
    ...[...commits].map(([generation, manifest]) => ({ generation, manifest, origin: 'commit' as const })),
    ...[...copies].map(([generation, manifest]) => ({ generation, manifest, origin: 'copy' as const })),
    ...(published === undefined
      ? []
      : [{ generation: published.generation, manifest: published, origin: 'manifest.json' as const }]),
  ].flatMap(({ manifest, ...each }) => (manifest === undefined ? [] : [{ ...each, manifest }]));
  // Among equal numbers the commit wins: it comes first, and sorting is stable.
  const ranked = sound.toSorted((a, b) => b.generation - a.generation);
  const newest = ranked[0];
  const head = newest?.manifest;
  const entries = head === undefined ? [] : [...head.log, logEntryOf(head)];
  const snapshots = entries.toSorted(byPrecedence).map((entry): PlannedSnapshot => {
    const described =
      ranked.find(
        ({ generation, manifest }) => manifest.id === entry.id && generation === entry.generation,
      ) ?? ranked.find(({ manifest }) => manifest.id === entry.id);
    return { entry, origin: described?.origin ?? 'files', manifest: described?.manifest };
  });

  const described = new Set([...entries.map(({ id }) => id), ...sound.map(({ manifest }) => manifest.id)]);
  const unnamed = [...directories.keys()].filter((id) => !described.has(id)).toSorted(byTime);
  const isAnyLost =
    [...commits].some(
      ([generation, manifest]) => manifest === undefined && copies.get(generation) === undefined,
    ) || sound.every(({ origin }) => origin === 'manifest.json');
  return {
    head,
    isHeadCommitted: newest?.origin === 'commit',
    rival: head === undefined ? undefined : rivalOf(head, remains),
    snapshots,
    candidates: isAnyLost ? unnamed : [],
    unnamed: isAnyLost ? [] : unnamed,
  };
}

function rivalOf(head: Manifest, { commits, copies }: Remains): Manifest | undefined {
  const newest = [...commits]
    .toSorted(([a], [b]) => b - a)
    .find(([, manifest]) => manifest !== undefined)?.[1];
  if (newest === undefined || newest.generation >= head.generation) return undefined;
  const isNamed = [...head.log, head].some(({ id }) => id === newest.id);
  return isNamed || copies.get(newest.generation)?.uploadId === newest.uploadId ? undefined : newest;
}

const byTime = (a: string, b: string): number => epochMsOf(a) - epochMsOf(b) || (a < b ? -1 : 1);

/**
 * Numbers below `limit` for snapshots that lost theirs, in their order. If possible, a number lies between those of the
 * neighbours in time; else any free one is taken. A snapshot gets none if no number is left.
 */
export function freeNumbers(
  ids: readonly string[],
  taken: readonly Pick<LogEntry, 'id' | 'generation'>[],
  { isFree, limit }: { readonly isFree: (generation: number) => boolean; readonly limit: number },
): ReadonlyMap<string, number | undefined> {
  const placed = [...taken];
  const numbers = new Map<string, number | undefined>();
  for (const id of ids.toSorted(byTime).toReversed()) {
    const used = new Set(placed.map(({ generation }) => generation));
    const free = Array.from({ length: Math.max(0, limit - 1) }, (_, index) => limit - 1 - index).filter(
      (each) => isFree(each) && !used.has(each),
    );
    const above = placed.filter((each) => byTime(each.id, id) > 0).map(({ generation }) => generation);
    const below = placed.filter((each) => byTime(each.id, id) < 0).map(({ generation }) => generation);
    const [low, high] = [Math.max(0, ...below.filter((each) => each < limit)), Math.min(limit, ...above)];
    const generation = free.find((each) => each > low && each < high) ?? free[0];
    numbers.set(id, generation);
    if (generation !== undefined) placed.push({ id, generation });
  }
  return numbers;
}
