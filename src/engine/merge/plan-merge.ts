import type { CollectionDescription, RecordSource } from '../../stores/record-source.ts';
import type { CollectionWork } from './carry-out.ts';
import { keyOf as subjectKey } from './last-writes.ts';
import type { LastWrites } from './last-writes.ts';
import { isAlike, keyOf, matchCollections, nameOf, placeOf } from './match-collections.ts';
import type { CollectionUnit } from './match-collections.ts';
import type {
  MergeConflict,
  MergeOptions,
  MergeResult,
  MergedCollection,
  Prefer,
  ServerDifference,
} from './merge-result.ts';
import { planCollection } from './plan-collection.ts';
import type { ReadableCollection } from './plan-collection.ts';

export interface MergePlan extends Pick<MergeResult, 'collections' | 'notes' | 'problems' | 'differences'> {
  readonly work: readonly CollectionWork[];
}

export interface Times {
  readonly ours: LastWrites;
  readonly theirs: LastWrites;
}

export interface PlanOptions extends Pick<MergeOptions, 'prefer' | 'force'> {
  readonly openServer: (tenant: string) => Promise<RecordSource | undefined>;
  readonly unsure: ReadonlySet<string>;
  /** With `newest`. */
  readonly times: Times | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Decides what a server gets that should have the records of `ours`. Writes nothing. */
export async function planMerge(
  sides: Readonly<Record<'base' | 'ours' | 'theirs', RecordSource>>,
  { openServer, prefer, force = false, unsure, times, signal }: PlanOptions,
): Promise<MergePlan> {
  const matched = matchCollections({
    base: sides.base.collections,
    ours: sides.ours.collections,
    theirs: sides.theirs.collections,
  });
  const { notes } = matched;
  if (matched.problems.length > 0)
    return { collections: [], notes, problems: matched.problems, differences: [], work: [] };
  const problems: string[] = [];
  const collections: MergedCollection[] = [];
  const differences: ServerDifference[] = [];
  const work: CollectionWork[] = [];
  const servers = new Map<string, RecordSource | undefined>();
  const serverOf = async (tenant: string): Promise<RecordSource | undefined> => {
    if (!servers.has(tenant)) servers.set(tenant, await openServer(tenant));
    return servers.get(tenant);
  };
  const known = new Set<string>();
  for (const unit of matched.units) {
    const { place, ours, theirs } = unit;
    known.add(keyOf(place));
    const server = find(await serverOf(place.tenant), unit);
    if (server !== undefined && theirs !== undefined && !isAlike(server.collection, theirs)) {
      problems.push(`Collection ${nameOf(place)} has another dimension or distance in the server`);
      continue;
    }
    const plan = await planCollection({
      unit,
      base: readable(sides.base, unit.base),
      ours: readable(sides.ours, ours),
      theirs: readable(sides.theirs, theirs),
      server,
      unsure: idsIn(unsure, unit),
      force,
      choose: (id) => choose(unit, id, prefer, times),
      revive: prefer === 'A' || prefer === 'B' ? prefer === 'B' : undefined,
      signal,
    });
    if (plan.problem !== undefined) problems.push(plan.problem);
    if (plan.difference !== undefined) differences.push(plan.difference);
    const { merged } = plan;
    const hasWork = merged.change === 'created' || merged.written.length + merged.deleted.length > 0;
    if (hasWork || merged.conflicts.length + merged.already > 0) collections.push(merged);
    if (hasWork && theirs !== undefined) work.push({ merged, source: sides.theirs, theirs });
  }
  for (const server of servers.values())
    for (const each of server?.collections ?? [])
      if (!known.has(keyOf(each))) differences.push({ ...placeOf(each), change: 'extra', ids: [] });
  const open = collections.flatMap(({ conflicts }) => conflicts).filter(({ taken }) => taken === null).length;
  if (open > 0)
    problems.push(
      prefer === 'newest'
        ? `${open} records were changed on both sides at the same time; choose with --prefer A or --prefer B`
        : `${open} records were changed on both sides; choose with --prefer A, B or newest`,
    );
  if (differences.length > 0 && !force)
    problems.push(
      'The server does not have the records of A; make a snapshot of it and name that as A, or add --force to count what it has as written by A',
    );
  return { collections, notes, problems, differences, work };
}

function choose(
  { ours, theirs }: CollectionUnit,
  id: string,
  prefer: Prefer | undefined,
  times: Times | undefined,
): Pick<MergeConflict, 'taken' | 'times'> {
  if (prefer === 'A' || prefer === 'B') return { taken: prefer };
  if (prefer === undefined || times === undefined) return { taken: null };
  const a = times.ours({ collection: ours?.id ?? '', id });
  const b = times.theirs({ collection: theirs?.id ?? '', id });
  return {
    taken: a === b ? null : a > b ? 'A' : 'B',
    times: { ours: new Date(a).toISOString(), theirs: new Date(b).toISOString() },
  };
}

const readable = (
  source: RecordSource,
  collection: CollectionDescription | undefined,
): ReadableCollection | undefined => collection && { source, collection };

function find(server: RecordSource | undefined, { place }: CollectionUnit): ReadableCollection | undefined {
  const collection = server?.collections.find((each) => keyOf(each) === keyOf(place));
  return server && readable(server, collection);
}

/** Of the keys of all records, the ids of those in one collection. */
function idsIn(keys: ReadonlySet<string>, { ours, theirs }: CollectionUnit): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { id: collection } of [ours, theirs].filter((each) => each !== undefined)) {
    const start = subjectKey({ collection, id: '' });
    for (const key of keys) if (key.startsWith(start)) found.add(key.slice(start.length));
  }
  return found;
}
