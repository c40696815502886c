import type { SourceRecord } from '../../stores/record-source.ts';
import { comparableMetadata } from './record-line.ts';

export type RecordPart = 'embedding' | 'document' | 'uri' | 'metadata';

/**
 * Which parts of two records differ. `rounding` allows what a cosine collection changes: it keeps a vector's direction and length, and
 * multiplies them again.
 */
export function differingParts(a: SourceRecord, b: SourceRecord, rounding: number): readonly RecordPart[] {
  const parts: RecordPart[] = [];
  if (!(vectorDistance(a.embedding, b.embedding) <= rounding)) parts.push('embedding');
  if (a.document !== b.document) parts.push('document');
  if (a.uri !== b.uri) parts.push('uri');
  if (a.metadata !== b.metadata && comparableMetadata(a.metadata) !== comparableMetadata(b.metadata))
    parts.push('metadata');
  return parts;
}

/** The largest difference of two values, by the length of the vector. 0 for equal ones, NaN for those that cannot be compared. */
export function vectorDistance(a: Float32Array | null, b: Float32Array | null): number {
  if (a === null || b === null) return a === b ? 0 : NaN;
  if (a.length !== b.length) return NaN;
  let largest = 0;
  let squares = 0;
  for (const [i, value] of a.entries()) {
    const difference = Math.abs(value - (b[i] as number));
    // Not `>`: what is no number differs.
    if (!(difference <= largest)) largest = difference;
    squares += value * value;
  }
  return largest === 0 ? 0 : largest / Math.max(Math.sqrt(squares), 1e-30);
}

/** Of float32's precision, 6e-8, a few: one division and one multiplication. */
export const cosineRounding = 5e-7;
