import { IdMultiset, hashId, newIdHash } from './id-multiset.ts';

/** The ids one side of a collection holds, as first found, before and after the queued operations are applied. */
const inRecords = 1;
const inIndex = 2;

/** Operation codes of `embeddings_queue` (chromadb/db/mixins/embeddings_queue.py, _operation_codes). */
const update = 1;
const deletion = 3;
const lastOperation = 3;

/**
 * The id equation of one collection: the index's ids after the queued operations above w must be the records' ids
 * after those above m, where w and m are the operations up to which the segments of the collection were written.
 *
 * Whether an id is there after a replay is said by its last operation that is not an update (an add of an id that
 * is there, an update or delete of one that is not, are ignored by both of Chroma's segments). Only ids that a
 * queued operation touches are kept by name; all others must be the same on both sides and are compared by hash.
 */
export class IdLedger {
  readonly indexedUpTo: number;
  readonly recordedUpTo: number;
  readonly #touched = new Map<string, number>();
  readonly #records = new IdMultiset();
  readonly #index = new IdMultiset();
  readonly #hash = newIdHash();

  constructor(indexedUpTo: number, recordedUpTo: number) {
    this.indexedUpTo = indexedUpTo;
    this.recordedUpTo = recordedUpTo;
  }

  /** Operations up to this one are in both segments. */
  get settledUpTo(): number {
    return Math.min(this.indexedUpTo, this.recordedUpTo);
  }

  /** To be called for every queued operation above `settledUpTo`, in order, before any id is seen. */
  operation(id: Buffer, code: number, seqId: number): void {
    if (seqId <= this.settledUpTo || code < 0 || code > lastOperation) return;
    const key = keyOf(id, 0, id.length);
    this.#touched.set(key, this.#touched.get(key) ?? 0);
    if (code !== update) this.#apply(key, code !== deletion, seqId);
  }

  record(id: Buffer): void {
    this.#see(id, 0, id.length, inRecords, this.#records);
  }

  indexed(bytes: Buffer, start: number, end: number): void {
    this.#see(bytes, start, end, inIndex, this.#index);
  }

  isTouched(id: Buffer): boolean {
    return this.#touched.has(keyOf(id, 0, id.length));
  }

  /** What a user's count() says, once every record was seen. */
  get count(): number {
    let count = this.#records.count;
    for (const flags of this.#touched.values()) if (isThere(flags, inRecords)) count += 1;
    return count;
  }

  /** Touched ids that only one side has, a few of them. */
  touchedDifferences(limit: number): { readonly onlyRecords: string[]; readonly onlyIndex: string[] } {
    const found = { onlyRecords: [] as string[], onlyIndex: [] as string[] };
    for (const [key, flags] of this.#touched) {
      const inBoth = isThere(flags, inRecords) === isThere(flags, inIndex);
      if (inBoth) continue;
      const list = isThere(flags, inRecords) ? found.onlyRecords : found.onlyIndex;
      if (list.length < limit) list.push(Buffer.from(key, 'latin1').toString());
    }
    return found;
  }

  /** Whether the ids that no queued operation touches are the same on both sides. */
  get untouchedAgree(): boolean {
    return this.#records.equals(this.#index);
  }

  #apply(key: string, isThereNow: boolean, seqId: number): void {
    let flags = this.#touched.get(key) ?? 0;
    if (seqId > this.recordedUpTo) flags = replayed(flags, inRecords, isThereNow);
    if (seqId > this.indexedUpTo) flags = replayed(flags, inIndex, isThereNow);
    this.#touched.set(key, flags);
  }

  #see(bytes: Buffer, start: number, end: number, side: number, untouched: IdMultiset): void {
    if (this.#touched.size > 0) {
      const key = keyOf(bytes, start, end);
      const flags = this.#touched.get(key);
      if (flags !== undefined) {
        this.#touched.set(key, flags | side);
        return;
      }
    }
    hashId(bytes, start, end, this.#hash);
    untouched.add(this.#hash);
  }
}

/** Per side: found at first (the side's bit), replayed at all (bit << 2), there after the replay (bit << 4). */
function replayed(flags: number, side: number, isThereNow: boolean): number {
  return (flags & ~(side << 4)) | (side << 2) | (isThereNow ? side << 4 : 0);
}

function isThere(flags: number, side: number): boolean {
  return (flags & (side << 2)) === 0 ? (flags & side) !== 0 : (flags & (side << 4)) !== 0;
}

function keyOf(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('latin1', start, end);
}
