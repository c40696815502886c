import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../../platform/errors.ts';
import { damaged } from '../index/byte-reader.ts';
import { matchesKnownVector } from '../known-vector.ts';
import type { KnownVector } from '../known-vector.ts';
import { hasIndexMetadata } from '../index/persisted-index.ts';
import { readLayout, salvageLayout } from './element-layout.ts';
import type { ElementLayout } from './element-layout.ts';
import { doubtAbout, findElements } from './index-elements.ts';
import type { IndexElements } from './index-elements.ts';
import { readIndexIds, salvageIndexIds } from './index-ids.ts';
import type { IndexIds } from './index-ids.ts';
import { RandomAccess } from './random-access.ts';
import type { Space } from '../sysdb.ts';

/** A vector as its index has it, or why there is none. */
export interface FoundVector {
  readonly vector: Float32Array | null;
  /** What is wrong with it: it is missing, or its length is. */
  readonly problem?: string;
  /** The direction is exact, the length of a cosine vector is lost: it has length 1, or perhaps that of another vector. */
  readonly isWithoutLength?: boolean;
}

/** The files of one vector segment. Ids and their places are in memory, vectors are read when they are asked for. */
export interface IndexVectors {
  /** By id. */
  readonly labels: ReadonlyMap<string, number>;
  /** Whether all ids that the files have could be read. */
  readonly isNamed: boolean;
  /** The operation that the files say they were written at; null where only SQLite knows. */
  readonly maxSeqId: number | null;
  /** What is wrong with the files, one sentence each. Empty unless they were salvaged. */
  readonly problems: readonly string[];
  /** The elements look like those of another time: vectors that were changed in between are old ones. */
  readonly mayBeOld: boolean;
  vectorOf(label: number): FoundVector;
  close(): void;
}

export interface IndexFacts {
  readonly dir: string;
  readonly segmentId: string;
  readonly space: Space;
  readonly dimension: number | null;
  readonly maxNeighbors: number;
  /** To salvage: the last vector that was written to the index, if it is known. */
  readonly lastWritten?: KnownVector | undefined;
}

/** Nothing was ever persisted: all vectors are in the queue. */
export const noIndex: IndexVectors = {
  labels: new Map(),
  isNamed: true,
  maxSeqId: null,
  problems: [],
  mayBeOld: false,
  vectorOf: () => ({ vector: null, problem: 'there is no vector index' }),
  close: () => undefined,
};

/** Opens a sound index. STORE_CORRUPT if it is not. */
export function openIndexVectors(facts: IndexFacts): IndexVectors {
  if (!hasIndexMetadata(facts)) return noIndex;
  const [path, label] = placeOf(facts, 'index_metadata.pickle');
  const ids = readIndexIds(path, label);
  if (ids.labels.size === 0) return { ...noIndex, maxSeqId: ids.maxSeqId };
  const layout = readLayout(...placeOf(facts, 'header.bin'));
  const elements = findElements(...placeOf(facts, 'data_level0.bin'), layout);
  if (elements.problem !== undefined) throw damaged(elements.problem);
  return new OpenIndex(facts, { ids, layout, elements, problems: [] });
}

/** Opens what is left of an index. Whatever is wrong is a problem, and what cannot be read has no vector. */
export function salvageIndexVectors(facts: IndexFacts, given?: ReadonlyMap<string, number>): IndexVectors {
  const ids: IndexIds =
    given === undefined
      ? salvageIndexIds(...placeOf(facts, 'index_metadata.pickle'))
      : { labels: new Map(given), maxSeqId: null, problem: undefined };
  const { layout: said, problem } = salvageLayout(...placeOf(facts, 'header.bin'), facts);
  const isOldHeader = said !== undefined && said.count < ids.labels.size;
  const problems = [
    ids.problem,
    problem,
    isOldHeader
      ? `${facts.segmentId}/header.bin is of another time: it promises ${said.count} elements, and there are ${ids.labels.size} ids`
      : undefined,
  ];
  const layout = isOldHeader ? { ...said, count: Infinity } : said;
  if (layout === undefined)
    return {
      ...noIndex,
      ...ids,
      isNamed: ids.problem === undefined,
      problems: problems.filter((each) => each !== undefined),
    };
  const elements = findElements(...placeOf(facts, 'data_level0.bin'), layout);
  problems.push(elements.problem);
  const found = problems.filter((each) => each !== undefined);
  return new OpenIndex(facts, { ids, layout, elements, problems: found, isSalvaged: true });
}

interface Parts {
  readonly ids: IndexIds;
  readonly layout: ElementLayout;
  readonly elements: IndexElements;
  readonly problems: readonly string[];
  readonly isSalvaged?: boolean;
}

class OpenIndex implements IndexVectors {
  readonly labels: ReadonlyMap<string, number>;
  readonly isNamed: boolean;
  readonly maxSeqId: number | null;
  readonly problems: readonly string[];
  readonly mayBeOld: boolean;
  readonly #layout: ElementLayout;
  readonly #elements: IndexElements;
  readonly #isSalvaged: boolean;
  readonly #isCosine: boolean;
  readonly #label: string;
  /** Undefined if it cannot be opened: then no label has a position. */
  readonly #data: RandomAccess | undefined;
  /** The lengths of cosine vectors; what stands there for others means nothing. */
  readonly #lengths: Buffer;
  /** Why the lengths may be those of other vectors. */
  readonly #lengthDoubt: string | undefined;
  readonly #bytes: Buffer;

  constructor(facts: IndexFacts, { ids, layout, elements, problems, isSalvaged = false }: Parts) {
    this.labels = ids.labels;
    this.isNamed = ids.problem === undefined;
    this.maxSeqId = ids.maxSeqId;
    this.#layout = layout;
    this.#elements = elements;
    this.#isSalvaged = isSalvaged;
    this.#isCosine = facts.space === 'cosine';
    const [path, label] = placeOf(facts, 'data_level0.bin');
    this.#label = label;
    const [lengths, lengthProblem] = this.#isCosine ? readLengths(facts) : [Buffer.alloc(0), undefined];
    this.#lengths = lengths;
    if (lengthProblem !== undefined && !isSalvaged) throw damaged(lengthProblem);
    this.problems = lengthProblem === undefined ? problems : [...problems, lengthProblem];
    this.#bytes = Buffer.alloc(layout.sizePerElement);
    this.#data = elements.positions.size === 0 ? undefined : new RandomAccess(path, label);
    this.mayBeOld = isSalvaged && (elements.mayBeOld || this.#lacksNew(facts));
    this.#lengthDoubt = isSalvaged && this.#isCosine ? this.#doubtAboutLengths(facts) : undefined;
  }

  vectorOf(label: number): FoundVector {
    const element = this.#elements.positions.get(label);
    if (element === undefined) return this.#none(`${this.#label} has no element of label ${label}`);
    const position = element * this.#layout.sizePerElement;
    try {
      if (this.#data?.read(this.#bytes, position) !== true)
        return this.#none(`${this.#label} ends before element ${element}`);
    } catch (error) {
      return this.#none(`${this.#label} cannot be read: ${messageOf(error)}`);
    }
    const vector = floatsAt(this.#bytes, this.#layout.offsetData, this.#layout.dimension);
    if (!this.#isSalvaged) return this.#isCosine ? this.#scaled(vector, element) : { vector };
    const doubt =
      doubtAbout(this.#bytes, this.#layout, this.#elements.count) ?? this.#doubtAboutVector(vector);
    if (doubt !== undefined) return this.#none(`element ${element} of ${this.#label} is damaged: ${doubt}`);
    return this.#isCosine ? this.#scaled(vector, element) : { vector };
  }

  close(): void {
    this.#data?.close();
  }

  #doubtAboutVector(vector: Float32Array): string | undefined {
    if (!vector.every((value) => Number.isFinite(value))) return 'its vector holds what is no number';
    if (!this.#isCosine) return undefined;
    const length = lengthOf(vector);
    // A vector of no length stays as it is.
    return length === 0 || Math.abs(length - 1) < 1e-3 ? undefined : `its vector has length ${length}, not 1`;
  }

  /** Whether a whole file lacks elements of ids that there are, or the vector that was written last. */
  #lacksNew({ lastWritten }: IndexFacts): boolean {
    const { positions, problem } = this.#elements;
    if (problem === undefined && [...this.labels.values()].some((label) => !positions.has(label)))
      return true;
    const element = positions.get(this.labels.get(lastWritten?.id.toString() ?? '') ?? -1);
    if (lastWritten === undefined || element === undefined) return false;
    const isRead = this.#data?.read(this.#bytes, element * this.#layout.sizePerElement) === true;
    return (
      isRead && !matchesKnownVector(lastWritten.vector, this.#bytes, this.#layout.offsetData, this.#layout)
    );
  }

  /** A file that is short, or has another length for the vector that was written last, is perhaps of another time. */
  #doubtAboutLengths({ segmentId, lastWritten }: IndexFacts): string | undefined {
    let last = -1;
    for (const element of this.#elements.positions.values()) last = Math.max(last, element);
    if (this.#lengths.length < 4 * (last + 1))
      return `${segmentId}/length.bin may be of another time: it is short`;
    const element = this.#elements.positions.get(this.labels.get(lastWritten?.id.toString() ?? '') ?? -1);
    if (lastWritten === undefined || element === undefined) return undefined;
    const [stored, written] = [this.#lengths.readFloatLE(4 * element), lengthOf(lastWritten.vector)];
    if (Math.abs(stored - written) <= 1e-3 * written) return undefined;
    return `${segmentId}/length.bin is of another time: it has another length for the vector that was written last`;
  }

  /** The index keeps cosine vectors with length 1, and their lengths beside them. */
  #scaled(vector: Float32Array, element: number): FoundVector {
    const at = 4 * element;
    const length = at + 4 <= this.#lengths.length ? this.#lengths.readFloatLE(at) : NaN;
    if (length > 0 && Number.isFinite(length)) {
      const scaled = vector.map((value) => value * length);
      return this.#lengthDoubt === undefined
        ? { vector: scaled }
        : { vector: scaled, isWithoutLength: true, problem: this.#lengthDoubt };
    }
    if (vector.every((value) => value === 0)) return { vector };
    const problem = `length.bin has no length of element ${element}`;
    if (!this.#isSalvaged) throw damaged(`${this.#label}: ${problem}`);
    return { vector, isWithoutLength: true, problem };
  }

  #none(problem: string): FoundVector {
    if (!this.#isSalvaged) throw damaged(problem);
    return { vector: null, problem };
  }
}

function readLengths(facts: IndexFacts): [bytes: Buffer, problem: string | undefined] {
  const [path, label] = placeOf(facts, 'length.bin');
  try {
    return [readFileSync(path), undefined];
  } catch (error) {
    return [Buffer.alloc(0), `${label} cannot be read: ${messageOf(error)}`];
  }
}

function floatsAt(bytes: Buffer, start: number, count: number): Float32Array {
  const floats = new Float32Array(count);
  for (let i = 0; i < count; i++) floats[i] = bytes.readFloatLE(start + 4 * i);
  return floats;
}

function lengthOf(vector: Float32Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Math.sqrt(sum);
}

function placeOf({ dir, segmentId }: IndexFacts, name: string): [path: string, label: string] {
  return [join(dir, segmentId, name), `${segmentId}/${name}`];
}
