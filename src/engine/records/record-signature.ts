import { createHash } from 'node:crypto';
import type { SourceRecord } from '../../stores/record-source.ts';
import { comparableMetadata } from './record-line.ts';
import type { RecordPart } from './same-record.ts';

/** A record in some 100 bytes: enough to tell whether it changed, and which part of it did. */
export interface RecordSignature {
  readonly document: string;
  readonly uri: string;
  readonly metadata: string;
  /** A hash; of a cosine vector its length and where it points, as numbers that rounding changes little. */
  readonly embedding: string | Float64Array;
}

const directions = 3;
/** Above what normalising changes (6e-8 of a length), and below what anybody means by a change. */
const tolerance = 1e-5;

export function signatureOf(record: SourceRecord, isCosine: boolean): RecordSignature {
  const { document, uri, metadata, embedding } = record;
  return {
    document: hash(document === null ? '' : `=${document}`),
    uri: uri ?? '',
    metadata: hash(comparableMetadata(metadata)),
    embedding:
      embedding === null
        ? ''
        : isCosine
          ? sketch(embedding)
          : hash(Buffer.from(embedding.buffer, embedding.byteOffset, embedding.byteLength)),
  };
}

export function changedParts(a: RecordSignature, b: RecordSignature): readonly RecordPart[] {
  const parts: RecordPart[] = [];
  if (!isSameVector(a.embedding, b.embedding)) parts.push('embedding');
  for (const part of ['document', 'uri', 'metadata'] as const) if (a[part] !== b[part]) parts.push(part);
  return parts;
}

function isSameVector(a: RecordSignature['embedding'], b: RecordSignature['embedding']): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b;
  return a.every((value, i) => Math.abs(value - (b[i] as number)) <= tolerance);
}

/** The dimension, the logarithm of the length, and the direction in a few fixed random directions. */
function sketch(vector: Float32Array): Float64Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  const sums = new Float64Array(directions);
  let state = 1;
  for (const value of vector) {
    for (let i = 0; i < directions; i++) {
      // Numerical Recipes' generator: the same numbers for every vector.
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      (sums[i] as number) += (value * (state / 2 ** 31 - 1)) / (length || 1);
    }
  }
  return Float64Array.of(vector.length, Math.log(length || 1), ...sums);
}

const hash = (content: string | Buffer): string =>
  createHash('sha1').update(content).digest().toString('latin1', 0, 12);
