import { damaged } from './byte-reader.ts';
import { hashId, newIdHash } from '../id-multiset.ts';
import { LabelSet } from './label-set.ts';
import { readPickle } from './pickle.ts';
import type { EntryPart, PickleMap, PickleVisitor } from './pickle.ts';

export interface IndexMetadata {
  /** Labels of the live elements. */
  readonly labels: LabelSet;
  readonly dimensionality: number | null;
  /** Directories of Chroma before 0.5.6 keep the operation their index was written at here. */
  readonly maxSeqId: number | null;
  /** The newest operation any id says it has seen; 0 where the writer does not tell (Rust). */
  readonly newestSeqId: number;
}

/** `bytes[start, end)` is an id that the index holds under `label`. */
export type IdVisitor = (bytes: Buffer, start: number, end: number, label: number) => void;

/**
 * Reads the whole `index_metadata.pickle` and checks what it says twice: every label once, and `label_to_id` the
 * mirror of `id_to_label`. Rejects damage with STORE_CORRUPT. Memory: a bit per label, and 4 bytes per id in
 * Python-era files.
 */
export function readIndexMetadata(path: string, label: string, visitId: IdVisitor): IndexMetadata {
  const reader = new MetadataReader(label, visitId);
  readPickle(path, label, reader);
  return reader.finish();
}

class MetadataReader implements PickleVisitor {
  readonly #label: string;
  readonly #visitId: IdVisitor;
  readonly #labels = new LabelSet();
  readonly #mirrored = new LabelSet();
  readonly #attributes = new Map<string, number | null>();
  /** Sums over (id, label) pairs, 64 bits; equal when the two maps mirror each other. */
  readonly #forward = new Uint32Array(2);
  readonly #backward = new Uint32Array(2);
  readonly #hash = newIdHash();
  #id = Buffer.alloc(256);
  #idLength = 0;
  #number = 0;
  #newestSeqId = 0;

  constructor(label: string, visitId: IdVisitor) {
    this.#label = label;
    this.#visitId = visitId;
  }

  attribute(name: string, value: number | null): void {
    this.#attributes.set(name, value);
  }

  text(map: PickleMap, part: EntryPart, bytes: Buffer, start: number, end: number): void {
    if (map === 'id_to_label' && part === 'key') {
      this.#idLength = end - start;
      if (this.#idLength > this.#id.length) this.#id = Buffer.alloc(this.#idLength * 2);
      bytes.copy(this.#id, 0, start, end);
    } else if (map === 'label_to_id' && part === 'value') {
      hashId(bytes, start, end, this.#hash);
      this.#addPair(this.#backward, this.#number);
    } else if (map !== 'id_to_seq_id' || part !== 'key')
      throw this.#bad(`has a string for a number in "${map}"`);
  }

  number(map: PickleMap, part: EntryPart, value: number): void {
    if (map === 'id_to_seq_id' && part === 'value') this.#newestSeqId = Math.max(this.#newestSeqId, value);
    else if (map === 'id_to_label' && part === 'value') {
      this.#addLabel(this.#labels, value);
      hashId(this.#id, 0, this.#idLength, this.#hash);
      this.#addPair(this.#forward, value);
      this.#visitId(this.#id, 0, this.#idLength, value);
    } else if (map === 'label_to_id' && part === 'key') {
      this.#addLabel(this.#mirrored, value);
      this.#number = value;
    } else throw this.#bad(`has a number for an id in "${map}"`);
  }

  finish(): IndexMetadata {
    const [a, b] = [this.#forward, this.#backward];
    if (this.#labels.count !== this.#mirrored.count || a[0] !== b[0] || a[1] !== b[1]) {
      throw this.#bad('contradicts itself: "label_to_id" is not the reverse of "id_to_label"');
    }
    return {
      labels: this.#labels,
      dimensionality: this.#attributes.get('dimensionality') ?? null,
      maxSeqId: this.#attributes.get('max_seq_id') ?? null,
      newestSeqId: this.#newestSeqId,
    };
  }

  #addLabel(labels: LabelSet, label: number): void {
    if (!(label >= 0)) throw this.#bad(`has label ${label}`);
    if (!labels.add(label)) throw this.#bad(`has label ${label} twice`);
  }

  #addPair(sum: Uint32Array, label: number): void {
    for (const lane of [0, 1] as const)
      (sum[lane] as number) += Math.imul(this.#hash[lane] as number, label * 2 + 1);
  }

  #bad(what: string): Error {
    return damaged(`${this.#label} ${what}`);
  }
}
