import { isSyncAgentError } from '../../../platform/errors.ts';
import { readIndexMetadata } from '../index/index-metadata.ts';
import { readPickle } from '../index/pickle.ts';
import type { EntryPart, PickleMap, PickleVisitor } from '../index/pickle.ts';

/** What the pickle of a vector index says, as far as it can be read. */
export interface IndexIds {
  readonly labels: Map<string, number>;
  /** The operation that the index was written at; only directories of Chroma before 0.5.6 say it here. */
  readonly maxSeqId: number | null;
  /** Why not all of it was read. */
  readonly problem: string | undefined;
}

/** Reads the whole pickle. STORE_CORRUPT if anything is wrong with it. */
export function readIndexIds(path: string, label: string): IndexIds {
  const labels = new Map<string, number>();
  const { maxSeqId } = readIndexMetadata(path, label, (bytes, start, end, element) =>
    labels.set(bytes.toString('utf8', start, end), element),
  );
  return { labels, maxSeqId, problem: undefined };
}

/** Reads what a damaged pickle still says: the pairs before the damage, from whichever of its two maps has them. */
export function salvageIndexIds(path: string, label: string): IndexIds {
  const salvager = new PairCollector();
  let problem: string | undefined;
  try {
    readPickle(path, label, salvager);
  } catch (error) {
    if (!isSyncAgentError(error, 'STORE_CORRUPT')) throw error;
    problem = error.message;
  }
  return { labels: salvager.labels(), maxSeqId: salvager.maxSeqId, problem };
}

class PairCollector implements PickleVisitor {
  maxSeqId: number | null = null;
  readonly #byId = new Map<string, number>();
  readonly #byLabel = new Map<number, string>();
  #id = '';
  #label = -1;

  attribute(name: string, value: number | null): void {
    if (name === 'max_seq_id') this.maxSeqId = value;
  }

  text(map: PickleMap, part: EntryPart, bytes: Buffer, start: number, end: number): void {
    const text = bytes.toString('utf8', start, end);
    if (map === 'id_to_label' && part === 'key') this.#id = text;
    else if (map === 'label_to_id' && part === 'value') this.#byLabel.set(this.#label, text);
  }

  number(map: PickleMap, part: EntryPart, value: number): void {
    if (map === 'id_to_label' && part === 'value') this.#byId.set(this.#id, value);
    else if (map === 'label_to_id' && part === 'key') this.#label = value;
  }

  /** Pairs on which the two maps disagree are left out: nobody knows which of them is right. */
  labels(): Map<string, number> {
    const labels = new Map<string, number>();
    const taken = new Map<number, string>();
    const disputed = new Set<number>();
    const add = (id: string, label: number): void => {
      const owner = taken.get(label);
      if (!Number.isSafeInteger(label) || label < 0) return;
      if ((owner !== undefined && owner !== id) || (labels.get(id) ?? label) !== label) {
        disputed.add(label);
        const other = labels.get(id);
        if (other !== undefined) disputed.add(other);
      }
      taken.set(label, id);
      labels.set(id, label);
    };
    for (const [id, label] of this.#byId) add(id, label);
    for (const [label, id] of this.#byLabel) add(id, label);
    for (const [id, label] of labels) if (disputed.has(label)) labels.delete(id);
    return labels;
  }
}
