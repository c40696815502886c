import type { CollectionDescription, RecordSource } from '../../stores/record-source.ts';
import { signatureOf } from '../records/record-signature.ts';
import type { RecordSignature } from '../records/record-signature.ts';
import { placeOf } from './match-collections.ts';
import type { CollectionUnit } from './match-collections.ts';
import type { MergeConflict, MergedCollection, ServerDifference } from './merge-result.ts';
import { decide, isSame } from './three-way.ts';

/** A collection where it can be read. */
export interface ReadableCollection {
  readonly source: RecordSource;
  readonly collection: CollectionDescription;
}

export interface PlanRequest {
  readonly unit: CollectionUnit;
  readonly base: ReadableCollection | undefined;
  readonly ours: ReadableCollection | undefined;
  readonly theirs: ReadableCollection | undefined;
  readonly server: ReadableCollection | undefined;
  /** Ids of which nobody knows what both sides had. */
  readonly unsure: ReadonlySet<string>;
  /** What the server has counts as ours. */
  readonly force: boolean;
  /** Which side counts; `null` if nothing decides. */
  readonly choose: (id: string) => Pick<MergeConflict, 'taken' | 'times'>;
  /** Whether a collection that our side deleted, and theirs changed, comes back; undefined if nothing decides. */
  readonly revive: boolean | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface CollectionPlan {
  readonly merged: MergedCollection;
  readonly difference: ServerDifference | undefined;
  readonly problem: string | undefined;
}

type Signatures = ReadonlyMap<string, RecordSignature>;

/**
 * Decides what one collection of the server gets. In memory are a signature for each record at the common position, and for those that one
 * of the sides changed since.
 */
export async function planCollection(request: PlanRequest): Promise<CollectionPlan> {
  const { unit, unsure, force, choose, revive, signal } = request;
  const theirsIs = request.theirs;
  const readAll = async (from: ReadableCollection | undefined): Promise<Signatures> => {
    const found = new Map<string, RecordSignature>();
    await each(from, signal, (id, signature) => void found.set(id, signature));
    return found;
  };
  const base = await readAll(theirsIs === undefined ? request.ours : request.base);
  const ours = theirsIs === undefined ? new Overlay(base) : await overlay(base, request.ours, signal);
  const theirs = theirsIs === undefined ? new Overlay(base) : await overlay(base, theirsIs, signal);

  const isGone = unit.base !== undefined && unit.ours === undefined && theirsIs !== undefined;
  if (isGone) {
    const isRevived = theirs.changed.size > 0 && revive === true;
    if (!isRevived) {
      const problem =
        theirs.changed.size > 0 && revive === undefined
          ? `Collection "${unit.place.name}" was deleted in A, and ${theirs.changed.size} of its records were changed in B; choose with --prefer A or --prefer B`
          : undefined;
      const isThere = request.server !== undefined;
      const difference = isThere
        ? ({ ...placeOf(unit.place), change: 'extra', ids: [] } as const)
        : undefined;
      return { merged: nothing(unit), difference, problem };
    }
  }

  const conflicts = new Map<string, MergeConflict>();
  /** What ids shall be that are taken from B. */
  const targets = new Map<string, RecordSignature | undefined>();
  const settle = (id: string, our: RecordSignature | undefined): void => {
    targets.delete(id);
    conflicts.delete(id);
    const their = theirs.get(id);
    const decision = decide({ base: base.get(id), ours: our, theirs: their }, { isSure: !unsure.has(id) });
    if (decision.type === 'take') targets.set(id, their);
    if (decision.type !== 'conflict') return;
    const chosen = choose(id);
    conflicts.set(id, { id, ours: decision.ours, theirs: decision.theirs, parts: decision.parts, ...chosen });
    if (chosen.taken === 'B') targets.set(id, their);
  };
  // A collection that comes back comes back whole.
  const candidates = isGone ? theirs.ids() : [...theirs.changed.keys(), ...unsure];
  for (const id of candidates) {
    if (isGone) targets.set(id, theirs.get(id));
    else settle(id, ours.get(id));
  }

  const differing: string[] = [];
  const done = new Set<string>();
  const compare = (id: string, found: RecordSignature | undefined): void => {
    const our = ours.get(id);
    if (targets.has(id) && isSame(found, targets.get(id))) done.add(id);
    else if (!isSame(found, our)) {
      differing.push(id);
      if (force && (theirs.changed.has(id) || unsure.has(id))) settle(id, found);
    }
  };
  const seen = new Set<string>();
  await each(request.server, signal, (id, found) => {
    seen.add(id);
    compare(id, found);
  });
  for (const id of new Set([...ours.ids(), ...targets.keys()])) if (!seen.has(id)) compare(id, undefined);

  const open = [...targets].filter(([id]) => !done.has(id));
  const isMissing = request.server === undefined;
  const isCreated = isMissing && unit.ours === undefined && theirsIs !== undefined;
  const isLost = isMissing && unit.ours !== undefined;
  return {
    merged: {
      ...placeOf(unit.place),
      change: isCreated ? 'created' : 'merged',
      written: open.flatMap(([id, target]) => (target === undefined ? [] : [id])),
      deleted: open.flatMap(([id, target]) => (target === undefined ? [id] : [])),
      already: done.size,
      conflicts: [...conflicts.values()],
    },
    difference:
      differing.length === 0 && !isLost
        ? undefined
        : { ...placeOf(unit.place), change: isLost ? 'missing' : 'changed', ids: differing },
    problem: undefined,
  };
}

const nothing = ({ place }: CollectionUnit): MergedCollection => ({
  ...placeOf(place),
  change: 'merged',
  written: [],
  deleted: [],
  already: 0,
  conflicts: [],
});

/** The records of one side: those at the common position, and what the side changed of them. */
class Overlay {
  readonly #base: Signatures;
  readonly changed = new Map<string, RecordSignature | undefined>();

  constructor(base: Signatures) {
    this.#base = base;
  }

  get(id: string): RecordSignature | undefined {
    return this.changed.has(id) ? this.changed.get(id) : this.#base.get(id);
  }

  ids(): readonly string[] {
    const ids = new Set([...this.#base.keys(), ...this.changed.keys()]);
    return [...ids].filter((id) => this.get(id) !== undefined);
  }
}

async function overlay(
  base: Signatures,
  from: ReadableCollection | undefined,
  signal: AbortSignal | undefined,
): Promise<Overlay> {
  const side = new Overlay(base);
  const seen = new Set<string>();
  await each(from, signal, (id, signature) => {
    seen.add(id);
    if (!isSame(base.get(id), signature)) side.changed.set(id, signature);
  });
  for (const id of base.keys()) if (!seen.has(id)) side.changed.set(id, undefined);
  return side;
}

async function each(
  from: ReadableCollection | undefined,
  signal: AbortSignal | undefined,
  use: (id: string, signature: RecordSignature) => void,
): Promise<void> {
  if (from === undefined) return;
  const { source, collection } = from;
  for await (const record of source.records(collection, signal))
    use(record.id, signatureOf(record, collection.space === 'cosine'));
}
