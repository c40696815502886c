import type { CollectionDescription, CollectionPlace } from '../../stores/record-source.ts';
import { comparableMetadata } from '../records/record-line.ts';

/** One collection at the common position and on both sides; at least one of the sides has it. */
export interface CollectionUnit {
  /** Where it is in the server, or will be. */
  readonly place: CollectionPlace;
  readonly base: CollectionDescription | undefined;
  readonly ours: CollectionDescription | undefined;
  readonly theirs: CollectionDescription | undefined;
}

export interface MatchedCollections {
  readonly units: readonly CollectionUnit[];
  /** What a merge leaves as our side has it: names, metadata, collections that were deleted. One sentence each. */
  readonly notes: readonly string[];
  /** Why nothing can be merged. */
  readonly problems: readonly string[];
}

/** The same collection has the same id on both sides, under whatever name. One that was made again is matched by its name. */
export function matchCollections(sides: {
  readonly base: readonly CollectionDescription[];
  readonly ours: readonly CollectionDescription[];
  readonly theirs: readonly CollectionDescription[];
}): MatchedCollections {
  const notes: string[] = [];
  const problems: string[] = [];
  const base = finder(sides.base, sides.theirs);
  const ours = finder(sides.ours, sides.theirs);
  const taken = new Set<string>();
  const units = sides.theirs.map((theirs): CollectionUnit => {
    const before = base(theirs);
    const present = ours(theirs);
    const place = placeOf(present ?? theirs);
    const name = nameOf(place);
    if (present !== undefined) taken.add(present.id);
    const holder = sides.ours.find((each) => keyOf(each) === keyOf(place));
    if (present === undefined && holder !== undefined)
      problems.push(
        `A has another collection ${name}, which was renamed; rename it, or the one of B, and make another snapshot`,
      );
    if (present !== undefined && !isAlike(present, theirs))
      problems.push(`Collection ${name} has another dimension or distance in B`);
    if (before?.id === theirs.id) {
      if (before.name !== theirs.name && theirs.name !== place.name)
        notes.push(
          `Collection ${nameOf(before)} was renamed to "${theirs.name}" in B; it stays ${name} in the server`,
        );
      if (comparableMetadata(before.metadata) !== comparableMetadata(theirs.metadata))
        notes.push(`The metadata of collection ${name} was changed in B; the server keeps its own`);
    } else if (before !== undefined)
      notes.push(`Collection ${name} was deleted and made again in B; its records are merged by their ids`);
    return { place, base: before, ours: present, theirs };
  });
  const left = sides.ours.filter(({ id }) => !taken.has(id));
  for (const each of left) {
    if (sides.base.some(({ id }) => id === each.id))
      notes.push(`Collection ${nameOf(each)} was deleted in B; it stays in the server`);
    units.push({ place: placeOf(each), base: undefined, ours: each, theirs: undefined });
  }
  return { units, notes, problems };
}

/** Finds the collection of a list that is the given one, by its id, else by its name unless that one is another of `matched` by id. */
function finder(
  list: readonly CollectionDescription[],
  matched: readonly CollectionDescription[],
): (wanted: CollectionDescription) => CollectionDescription | undefined {
  const ids = new Set(matched.map(({ id }) => id));
  return (wanted) =>
    list.find(({ id }) => id === wanted.id) ??
    list.find((each) => keyOf(each) === keyOf(wanted) && !ids.has(each.id));
}

export function isAlike(a: CollectionDescription, b: CollectionDescription): boolean {
  return a.space === b.space && (a.dimension === null || b.dimension === null || a.dimension === b.dimension);
}

export const placeOf = ({ tenant, database, name }: CollectionPlace): CollectionPlace => ({
  tenant,
  database,
  name,
});
export const keyOf = (place: CollectionPlace): string => JSON.stringify(placeOf(place));
export const nameOf = ({ database, name }: CollectionPlace): string =>
  database === 'default_database' ? `"${name}"` : `"${name}" of database "${database}"`;
