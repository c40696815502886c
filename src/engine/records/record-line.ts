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

/** The keys of metadata that an update has to take away. */
export function droppedKeys(metadata: string | null, present: string | null): readonly string[] {
  if (present === null) return [];
  const members = memberTexts(metadata ?? '');
  return [...(memberTexts(present)?.keys() ?? [])].filter((key) => {
    const text = members?.get(key);
    return text === undefined || isEmptyArray(text);
  });
}

/** The metadata that an update has to send: it leaves keys alone that are not named, and takes those away that are `null`. */
export function updatingMetadata(metadata: string | null, present: string | null): string | null {
  const dropped = droppedKeys(metadata, present);
  if (dropped.length === 0) return metadata;
  const kept = [...(memberTexts(metadata ?? '') ?? [])].filter(([key]) => !dropped.includes(key));
  const texts = [...kept, ...dropped.map((key) => [key, 'null'] as const)];
  return `{${texts.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`;
}

/** No server keeps one. */
const isEmptyArray = (text: string): boolean => /^\[\s*\]$/.test(text);

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

function metadataText(value: unknown, text: string | undefined): string | null {
  if (value === undefined || value === null || text === undefined) return null;
  const problem = metadataProblem(value, text);
  if (problem !== undefined) throw bad(problem);
  return text;
}

/**
 * What is wrong with metadata, whose text `text` is. A server refuses most of it, and the whole batch with it. It takes `chroma:…`, which is
 * worse: those are its own keys, and one of a wrong type stops every later write to the server, even after a restart (1.5).
 */
export function metadataProblem(value: unknown, text: string): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return '"metadata" is no object';
  for (const [key, each] of Object.entries(value)) {
    const shown = JSON.stringify(key);
    if (key === '' || /^(?:#|\$|chroma:)/.test(key))
      return `"metadata" has the key ${shown}, which Chroma keeps for itself`;
    const all: readonly unknown[] = Array.isArray(each) ? each : [each];
    const types = new Set(all.map((one) => typeof one));
    const isKnown = [...types].every((type) => type === 'string' || type === 'number' || type === 'boolean');
    const isFinite = all.every((one) => typeof one !== 'number' || Number.isFinite(one));
    if (!isKnown || types.size > 1 || !isFinite)
      return `"metadata" has a value that Chroma cannot keep under ${shown}`;
    if (all.some((one) => typeof one === 'number' && Math.abs(one) >= 2 ** 63) && hasLongInteger(text, key))
      return `"metadata" has an integer of more than 64 bits under ${shown}`;
    if (![key, ...all].every((one) => typeof one !== 'string' || isUnicode(one)))
      return `"metadata" has text that is no Unicode under ${shown}`;
  }
  return undefined;
}

/** A half of a surrogate pair alone cannot be sent. */
export const isUnicode = (text: string): boolean => !/\p{Surrogate}/u.test(text);

/** The server makes it a floating-point number. */
function hasLongInteger(text: string, key: string): boolean {
  const value = memberTexts(text)?.get(key) ?? '';
  const limit = 2n ** 63n;
  return (elementTexts(value) ?? [value]).some(
    (each) => /^-?\d+$/.test(each) && (BigInt(each) >= limit || BigInt(each) < -limit),
  );
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
    const shown = elements === undefined ? comparableValue(value) : `[${comparableElements(elements)}]`;
    return [`${JSON.stringify(key)}:${shown}`];
  });
  return lines.toSorted().join('\n');
}

/** One floating-point number in an array makes all of them such. */
function comparableElements(texts: readonly string[]): string {
  const isFloat = texts.some((text) => /^-?\d.*[.eE]/.test(text));
  return texts.map((text) => comparableValue(text, isFloat)).join();
}

function comparableValue(text: string, isFloat = false): string {
  if (text.startsWith('"')) return JSON.stringify(JSON.parse(text));
  if (!/^-?\d/.test(text)) return text;
  // Servers parse decimals to the double, or to the one beside it.
  return isFloat || /[.eE]/.test(text) ? `float ${Number(text).toPrecision(15)}` : BigInt(text).toString();
}

const bad = (why: string): SyncAgentError => new SyncAgentError('USAGE', why);
