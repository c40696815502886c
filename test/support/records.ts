/**
 * Records that can be made again from a few numbers, so that a test remembers millions of bytes of vectors and
 * documents by their seeds.
 */
export interface RecordState {
  readonly vectorSeed: number;
  readonly documentSeed: number;
  readonly metadataSeed: number;
}

export type Space = 'l2' | 'cosine' | 'ip';

export interface CollectionSpec {
  readonly name: string;
  readonly space: Space;
  readonly dimension: number;
  /** Records between two writes of the vector index; Chroma's default (1000) if absent. */
  readonly syncThreshold?: number;
}

/** Every space, two small thresholds (the index is rewritten all the time), and what an application gets by default. */
export const defaultCollections: readonly CollectionSpec[] = [
  { name: 'lab-l2', space: 'l2', dimension: 16, syncThreshold: 50 },
  { name: 'lab-cosine', space: 'cosine', dimension: 64, syncThreshold: 100 },
  { name: 'lab-ip', space: 'ip', dimension: 32, syncThreshold: 60 },
  { name: 'lab-default', space: 'l2', dimension: 384 },
];

/** Values in [-1, 1), exact in 32 bits; of length 1 for `ip`, where only then a vector is its own nearest neighbour. */
export function vectorOf({ space, dimension }: CollectionSpec, seed: number): number[] {
  const random = randomFrom(seed);
  const vector = Array.from({ length: dimension }, () => Math.fround(random() * 2 - 1));
  if (space !== 'ip') return vector;
  const length = Math.hypot(...vector);
  return vector.map((value) => Math.fround(value / length));
}

const words =
  'amber brook cedar delta ember fjord grove harbour island juniper kelp lagoon meadow north'.split(' ');

export function documentOf(seed: number): string {
  const random = randomFrom(seed ^ 0x5bd1e995);
  const body = Array.from(
    { length: 5 + Math.floor(random() * 40) },
    () => words[Math.floor(random() * words.length)],
  );
  return `${wordOf(seed)} ${body.join(' ')} ünïcödé`;
}

/** A word that no other document has. */
export function wordOf(seed: number): string {
  return `w${seed}q`;
}

export function metadataOf(seed: number): Record<string, string | number | boolean> {
  return { seed, ratio: seed / 8, label: `label ${seed % 7}`, even: seed % 2 === 0 };
}

/** A small repeatable generator of numbers in [0, 1) (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
