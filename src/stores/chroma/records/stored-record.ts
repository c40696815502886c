import { documentKey, joinTexts, uriKey } from './metadata-text.ts';
import type { MetadataTexts } from './metadata-text.ts';

/** A record as a store holds it: what a server would answer, without one. */
export interface StoredRecord {
  readonly id: string;
  /** Null if the record has none that can be read. */
  readonly embedding: Float32Array | null;
  readonly document: string | null;
  readonly uri: string | null;
  /** JSON text, so that `5.0` is no integer. Null if there is none. */
  readonly metadata: string | null;
}

/** Splits what Chroma keeps as metadata into what its users see. */
export function makeRecord(
  id: string,
  embedding: Float32Array | null,
  { texts }: { readonly texts: MetadataTexts },
): StoredRecord {
  const others = new Map(texts);
  const take = (key: string): string | null => {
    const text = others.get(key);
    others.delete(key);
    const value: unknown = text === undefined ? null : JSON.parse(text);
    return typeof value === 'string' ? value : null;
  };
  const document = take(documentKey);
  const uri = take(uriKey);
  return { id, embedding, document, uri, metadata: others.size === 0 ? null : joinTexts(others) };
}
