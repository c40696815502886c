import type { SourceRecord } from '../../stores/record-source.ts';
import { isUnicode, metadataProblem } from '../records/record-line.ts';

export interface RecordChecks {
  /**
   * What is wrong with the next record of the input, as the end of a sentence; undefined if it can be sent. Asked once for each: an id that
   * comes again is wrong.
   */
  problemOf(record: SourceRecord): string | undefined;
}

/**
 * Finds what a server refuses, because it refuses the whole batch, and what it takes and keeps otherwise or breaks by. The first record
 * decides on the dimension if the collection has none yet. Ids are in memory.
 */
export function recordChecks(dimension: number | null, isCosine = false): RecordChecks {
  const seen = new Map<string, number>();
  let expected = dimension;
  let whose = 'the collection has';
  return {
    problemOf: (record) => {
      const { id, embedding, document, uri, metadata } = record;
      const number = seen.size + 1;
      if (id === '') return 'its id is empty';
      if (![id, document ?? '', uri ?? ''].every(isUnicode)) return 'it has text that is no Unicode';
      const other = seen.get(id);
      if (other !== undefined) return `its id comes twice: record ${other} of the input has it, too`;
      seen.set(id, number);
      if (embedding === null || embedding.length === 0)
        return 'it has no embedding, without which Chroma keeps no record';
      const at = embedding.findIndex((value) => !Number.isFinite(value));
      if (at !== -1) return `value ${at} of its embedding is ${embedding[at]}`;
      if (isCosine && !canBeNormalised(embedding))
        return 'its embedding is too long or too short for a cosine collection, which would lose it';
      if (expected === null) [expected, whose] = [embedding.length, 'the records before it have'];
      if (embedding.length !== expected)
        return `its embedding has ${embedding.length} values, ${whose} ${expected}`;
      return metadata === null ? undefined : metadataProblem(JSON.parse(metadata), metadata);
    },
  };
}

/** A cosine collection keeps direction and length; the square of the length is a float32, which must neither overflow nor vanish. */
function canBeNormalised(vector: Float32Array): boolean {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return length === 0 || (length > 1e-15 && length < 1e18);
}
