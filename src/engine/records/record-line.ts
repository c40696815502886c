import { elementTexts, memberTexts } from '../../platform/json/json-slices.ts';
import { vectorText } from '../../platform/json/float32-text.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { SourceRecord } from '../../stores/record-source.ts';

/** One record as a line of JSON, without its end. The metadata goes in as it is, so that numbers keep their form. */
export function recordLine({ id, embedding, document, uri, metadata }: SourceRecord): string {
  const members = [
    `"id":${JSON.stringify(id)}`,
    `"embedding":${embedding === null ? 'null' : vectorText(embedding)}`,
    `"document":${JSON.stringify(document)}`,
    ...(uri === null ? [] : [`"uri":${JSON.stringify(uri)}`]),
    `"metadata":${metadata ?? 'null'}`,
  ];
  return `{${members.join(',')}}`;
}

/** Reads a line. Throws USAGE whose message says what is wrong with it: it follows the line's number. */
export function parseRecordLine(line: string): SourceRecord {
  let whole: unknown;
  try {
    whole = JSON.parse(line);
  } catch {
    throw bad('it is no JSON');
  }
  const members = memberTexts(line);
  if (typeof whole !== 'object' || whole === null || members === undefined) throw bad('it is no JSON object');
  const { id, embedding, document, uri, metadata } = whole as Record<string, unknown>;
  if (typeof id !== 'string' || id === '') throw bad('"id" is no text');
  return {
    id,
    embedding: vectorOf(embedding),
    document: optionalText('document', document),
    uri: optionalText('uri', uri),
    metadata: metadataText(metadata, members.get('metadata')),
  };
}

function vectorOf(value: unknown): Float32Array | null {
  if (value === undefined || value === null) return null;
  const isVector =
    Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'number');
  if (!isVector) throw bad('"embedding" is no array of numbers');
  const vector = Float32Array.from(value);
  if (!vector.every((each) => Number.isFinite(each)))
    throw bad('"embedding" has a number that is too large for float32');
  return vector;
}

function optionalText(name: string, value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') throw bad(`"${name}" is no text`);
  return value;
}

/** Checks what the server would refuse, because it would refuse a whole batch. */
function metadataText(value: unknown, text: string | undefined): string | null {
  if (value === undefined || value === null || text === undefined) return null;
  if (typeof value !== 'object' || Array.isArray(value)) throw bad('"metadata" is no object');
  for (const [key, each] of Object.entries(value)) {
    const isArray = Array.isArray(each);
    const types = new Set((isArray ? each : [each]).map((one: unknown) => typeof one));
    const isKnown = [...types].every((type) => type === 'string' || type === 'number' || type === 'boolean');
    if (!isKnown || types.size > 1)
      throw bad(`"metadata" has a value that Chroma cannot keep under ${JSON.stringify(key)}`);
  }
  return text;
}

/**
 * Metadata in a form in which equal ones are equal: sorted by key, without empty arrays, which no server keeps. An integer and a
 * floating-point number differ, two forms of one number do not.
 */
export function comparableMetadata(text: string | null): string {
  const members = text === null ? [] : [...(memberTexts(text) ?? [])];
  const lines = members.flatMap(([key, value]) => {
    const elements = value.startsWith('[') ? elementTexts(value) : undefined;
    if (value === 'null' || elements?.length === 0) return [];
    const shown =
      elements === undefined ? comparableValue(value) : `[${elements.map(comparableValue).join()}]`;
    return [`${JSON.stringify(key)}:${shown}`];
  });
  return lines.toSorted().join('\n');
}

function comparableValue(text: string): string {
  if (text.startsWith('"')) return JSON.stringify(JSON.parse(text));
  if (!/^-?\d/.test(text)) return text;
  // Servers parse decimals to the double, or to the one beside it.
  return /[.eE]/.test(text) ? `float ${Number(text).toPrecision(15)}` : BigInt(text).toString();
}

const bad = (why: string): SyncAgentError => new SyncAgentError('USAGE', why);
