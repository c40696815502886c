import { changedParts } from '../records/record-signature.ts';
import type { RecordSignature } from '../records/record-signature.ts';
import type { RecordPart } from '../records/same-record.ts';

/** One record at the common position, and on both sides. Undefined: there is none. */
export interface Sides {
  readonly base: RecordSignature | undefined;
  readonly ours: RecordSignature | undefined;
  readonly theirs: RecordSignature | undefined;
}

/** What one side did to a record since the common position. */
export type Fate = 'added' | 'changed' | 'deleted' | 'unchanged';

export type Decision =
  /** Both sides have the same. */
  | { readonly type: 'same' }
  /** Only our side changed it. */
  | { readonly type: 'keep' }
  /** Only their side changed it. */
  | { readonly type: 'take' }
  | {
      readonly type: 'conflict';
      readonly ours: Fate;
      readonly theirs: Fate;
      /** In what the two records differ. Empty if one side has none. */
      readonly parts: readonly RecordPart[];
    };

/**
 * Decides what becomes of one record of theirs. `isSure`: whether `base` is what both sides had; otherwise every difference is a conflict,
 * because nobody knows which side changed it.
 */
export function decide({ base, ours, theirs }: Sides, { isSure }: { readonly isSure: boolean }): Decision {
  if (isSame(ours, theirs)) return { type: 'same' };
  if (isSure && isSame(base, theirs)) return { type: 'keep' };
  if (isSure && isSame(base, ours)) return { type: 'take' };
  return {
    type: 'conflict',
    ours: fateOf(base, ours),
    theirs: fateOf(base, theirs),
    parts: ours === undefined || theirs === undefined ? [] : changedParts(ours, theirs),
  };
}

export function isSame(a: RecordSignature | undefined, b: RecordSignature | undefined): boolean {
  return a === undefined || b === undefined ? a === b : changedParts(a, b).length === 0;
}

function fateOf(base: RecordSignature | undefined, now: RecordSignature | undefined): Fate {
  if (isSame(base, now)) return 'unchanged';
  if (base === undefined) return 'added';
  return now === undefined ? 'deleted' : 'changed';
}
