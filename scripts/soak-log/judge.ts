import { apply, copyOf } from './history.ts';
import type { Logged, SlotState } from './history.ts';

export interface Question {
  readonly base: SlotState;
  readonly operations: readonly Logged[];
  /** What a server gives of the restored store. More than one collection of one writer is a finding of its own. */
  readonly found: SlotState;
  /** What was acknowledged until then must be there, milliseconds since the epoch. */
  readonly safeUntilMs: number;
  /** Nothing that was sent after that may be there. */
  readonly sentUntilMs?: number;
}

export interface Verdict {
  /** So many of the operations are in the restored store, each of them wholly. Undefined after a finding. */
  readonly count: number | undefined;
  /** When the oldest operation was acknowledged that is lost; undefined if none is. */
  readonly lostSinceMs: number | undefined;
  readonly finding: string | undefined;
}

/**
 * Compares a restored collection with what was acknowledged to its only writer. It has to be as it was after some operation: not before the
 * last one that must be there, not after the last one that may be, and with no operation half done.
 */
export function judge({ base, operations, found, safeUntilMs, sentUntilMs = Infinity }: Question): Verdict {
  const least = countWhile(
    operations,
    ({ ackedAtMs }) => ackedAtMs !== undefined && ackedAtMs <= safeUntilMs,
  );
  const most = countWhile(operations, ({ sentAtMs }) => sentAtMs <= sentUntilMs);
  let state = copyOf(base);
  let wrong = wrongIn(state, found);
  let count: number | undefined;
  let newest: number | undefined;
  let atLeast = least === 0 ? describe(state, found) : '';
  for (let index = 0; ; index += 1) {
    const isSame =
      wrong.size === 0 &&
      (state === undefined) === (found === undefined) &&
      state?.name === found?.name &&
      state?.mark === found?.mark;
    if (isSame) newest = index;
    if (isSame && index >= least && index <= most) count = index;
    const next = operations[index];
    if (next === undefined) break;
    const applied = apply(state, next.operation);
    ({ state } = applied);
    if (applied.touched === undefined) wrong = wrongIn(state, found);
    for (const id of applied.touched ?? []) {
      if (isEqual(state, found, id)) wrong.delete(id);
      else wrong.add(id);
    }
    if (index + 1 === least) atLeast = describe(state, found);
  }
  if (count === undefined) {
    const really =
      newest === undefined
        ? 'it is as it never was'
        : `it is as after ${newest} of ${operations.length} operations, not ${least} to ${most}` +
          lateness(operations[newest], safeUntilMs);
    return { count, lostSinceMs: undefined, finding: `${really}; ${atLeast}` };
  }
  return { count, lostSinceMs: operations[count]?.ackedAtMs, finding: undefined };
}

const lateness = (first: Logged | undefined, safeUntilMs: number): string =>
  first?.ackedAtMs === undefined
    ? ''
    : `: what was acknowledged ${Math.round(safeUntilMs - first.ackedAtMs)} ms before the limit is gone`;

function countWhile(operations: readonly Logged[], holds: (each: Logged) => boolean): number {
  const end = operations.findIndex((each) => !holds(each));
  return end === -1 ? operations.length : end;
}

function wrongIn(state: SlotState, found: SlotState): Set<string> {
  const ids = new Set([...(state?.records.keys() ?? []), ...(found?.records.keys() ?? [])]);
  return new Set([...ids].filter((id) => !isEqual(state, found, id)));
}

function isEqual(state: SlotState, found: SlotState, id: string): boolean {
  const [a, b] = [state?.records.get(id), found?.records.get(id)];
  return a?.vector === b?.vector && a?.text === b?.text;
}

/** Against the state that must be reached at least. */
function describe(state: SlotState, found: SlotState): string {
  if (state === undefined || found === undefined)
    return `expected at least ${state?.name ?? 'no collection'}, found ${found?.name ?? 'no collection'}`;
  const parts: string[] = [];
  if (state.name !== found.name) parts.push(`named ${found.name}, not ${state.name}`);
  if (state.mark !== found.mark) parts.push(`mark ${found.mark}, not ${state.mark}`);
  const kinds = { missing: [] as string[], unexpected: [] as string[], other: [] as string[] };
  for (const id of wrongIn(state, found)) {
    const [a, b] = [state.records.get(id), found.records.get(id)];
    const kind = b === undefined ? 'missing' : a === undefined ? 'unexpected' : 'other';
    kinds[kind].push(`${id} ${shown(a)} → ${shown(b)}`);
  }
  for (const [kind, all] of Object.entries(kinds))
    if (all.length > 0) parts.push(`${all.length} ${kind}: ${all.slice(0, 3).join(', ')}`);
  return `against the least state: ${parts.join('; ') || 'equal'}`;
}

const shown = (record: { readonly vector: number; readonly text: number } | undefined): string =>
  record === undefined ? 'none' : `${record.vector}/${record.text}`;
