import { createHash } from 'node:crypto';
import type { StoreAdapter } from '../../stores/adapter.ts';
import type { CollectionDescription, SourceRecord } from '../../stores/record-source.ts';
import { cosineRounding, differingParts } from '../records/same-record.ts';

/** Records of each collection that are compared in every part. */
const sampled = 20;

/** What the files of a restored store say is in it: the truth that a server is compared with. */
export interface ExpectedCollection {
  readonly collection: CollectionDescription;
  readonly records: number;
  /** Some records, always the same ones of the same snapshot. */
  readonly sample: readonly SourceRecord[];
}

export interface ExpectedOptions {
  /** For files of the reader's own. */
  readonly scratch: string;
  /** Which records are in the sample depends on it. */
  readonly salt: string;
  readonly signal: AbortSignal | undefined;
}

/** Reads every record, each with its vector. Undefined for a kind of store that has no records. STORE_CORRUPT if one cannot be read. */
export async function readExpected(
  { openRecords }: StoreAdapter,
  dir: string,
  { scratch, salt, signal }: ExpectedOptions,
): Promise<readonly ExpectedCollection[] | undefined> {
  if (openRecords === undefined) return undefined;
  const source = await openRecords(dir, { scratch });
  try {
    const expected: ExpectedCollection[] = [];
    for (const collection of source.collections) {
      const sample = new Sample(salt);
      let records = 0;
      for await (const record of source.records(collection, signal)) {
        records += 1;
        sample.offer(record);
      }
      expected.push({ collection, records, sample: sample.records() });
    }
    return expected;
  } finally {
    source.close();
  }
}

/** What differs between what was expected and what was read from files again, in sentences. */
export function differencesOf(
  expected: readonly ExpectedCollection[],
  found: readonly ExpectedCollection[],
): readonly string[] {
  return expected.flatMap(({ collection, records, sample }) => {
    const other = found.find((each) => each.collection.id === collection.id);
    if (other === undefined) return [`collection "${collection.name}" is missing`];
    return [
      ...countProblem(collection, records, other.records),
      ...sampleProblems(collection, sample, other.sample),
    ];
  });
}

export function countProblem(
  { name }: CollectionDescription,
  expected: number,
  found: number,
): readonly string[] {
  return expected === found ? [] : [`collection "${name}" has ${found} records instead of ${expected}`];
}

/** Of each record that differs or is missing, a sentence. */
export function sampleProblems(
  { name, space }: CollectionDescription,
  expected: readonly SourceRecord[],
  found: readonly SourceRecord[],
): readonly string[] {
  const byId = new Map(found.map((record) => [record.id, record]));
  return expected.flatMap((record) => {
    const other = byId.get(record.id);
    const label = `record ${JSON.stringify(record.id)} of collection "${name}"`;
    if (other === undefined) return [`${label} is missing`];
    const parts = differingParts(record, other, space === 'cosine' ? cosineRounding : 0);
    return parts.length === 0 ? [] : [`${label} has another ${parts.join(' and ')}`];
  });
}

/** Keeps the records with the smallest hashes of their ids. */
class Sample {
  readonly #salt: string;
  #kept: { readonly rank: string; readonly record: SourceRecord }[] = [];

  constructor(salt: string) {
    this.#salt = salt;
  }

  offer(record: SourceRecord): void {
    const rank = createHash('sha1').update(`${this.#salt}\n${record.id}`).digest('hex');
    const last = this.#kept.at(-1);
    if (this.#kept.length === sampled && last !== undefined && rank >= last.rank) return;
    this.#kept.push({ rank, record });
    this.#kept = this.#kept.toSorted((a, b) => (a.rank < b.rank ? -1 : 1)).slice(0, sampled);
  }

  records(): readonly SourceRecord[] {
    return this.#kept.map(({ record }) => record);
  }
}
