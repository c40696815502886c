import { memberTexts } from '../../../platform/json/json-slices.ts';

/**
 * Metadata as JSON texts by key. Numbers keep their form: to Chroma `5` is an integer and `5.0` a floating-point number, and integers
 * have 64 bits; JSON.parse would lose both.
 */
export type MetadataTexts = ReadonlyMap<string, string>;

/** The keys under which Chroma keeps what users do not see as metadata (rust/segment/src/sqlite_metadata.rs). */
export const documentKey = 'chroma:document';
export const uriKey = 'chroma:uri';

/** One row of `embedding_metadata`, of its array table, or of `collection_metadata`, read with safe integers. */
export interface TypedRow {
  readonly key: string;
  readonly text: string | null;
  readonly int: bigint | null;
  readonly float: number | null;
  readonly bool: bigint | null;
}

/** The value of a row as JSON. Undefined for one that has none. */
export function valueText({ text, int, float, bool }: TypedRow): string | undefined {
  if (text !== null) return JSON.stringify(text);
  if (int !== null) return int.toString();
  if (float !== null) return floatText(float);
  return bool === null ? undefined : bool === 0n ? 'false' : 'true';
}

/** One object, its keys in the order in which they were set. */
export function joinTexts(texts: MetadataTexts): string {
  const members = [...texts].map(([key, text]) => `${JSON.stringify(key)}:${text}`);
  return `{${members.join(',')}}`;
}

/** What an operation of the queue sets. A value of `null` deletes its key. Empty for what is no JSON object. */
export function operationTexts(json: string | null): MetadataTexts {
  if (json === null) return new Map();
  const found = new Map<string, string>();
  for (const [key, text] of memberTexts(json) ?? []) {
    // An array without elements is not kept by any version.
    if (/^\[\s*\]$/.test(text)) continue;
    found.set(key, pythonNumbers.get(text) ?? text);
  }
  return found;
}

/** Python writes numbers that JSON does not have. */
const pythonNumbers: ReadonlyMap<string, string> = new Map([
  ['Infinity', '1e999'],
  ['-Infinity', '-1e999'],
  ['NaN', 'null'],
]);

function floatText(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? '1e999' : '-1e999';
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
