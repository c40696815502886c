import { isDeepStrictEqual } from 'node:util';
import type { StoredRecord } from '../../src/stores/chroma/records/stored-record.ts';

/** All records that a server has in a collection, by id. Metadata as JSON.parse reads it. */
export async function serverRecords(
  url: string,
  name: string,
  database = 'default_database',
): Promise<ReadonlyMap<string, Comparable>> {
  const base = `${url}/api/v2/tenants/default_tenant/databases/${database}/collections`;
  const { id } = (await ask(`${base}/${encodeURIComponent(name)}`)) as { readonly id: string };
  const records = new Map<string, Comparable>();
  for (let offset = 0; ; offset += 500) {
    const page = (await ask(`${base}/${id}/get`, {
      offset,
      limit: 500,
      include: ['embeddings', 'documents', 'metadatas', 'uris'],
    })) as Page;
    for (const [i, each] of page.ids.entries()) {
      records.set(each, {
        embedding: Float32Array.from(page.embeddings[i] ?? []),
        document: page.documents[i] ?? null,
        uri: page.uris[i] ?? null,
        metadata: page.metadatas[i] ?? null,
      });
    }
    if (page.ids.length < 500) return records;
  }
}

interface Page {
  readonly ids: readonly string[];
  readonly embeddings: readonly (readonly number[])[];
  readonly documents: readonly (string | null)[];
  readonly uris: readonly (string | null)[];
  readonly metadatas: readonly (object | null)[];
}

export interface Comparable {
  readonly embedding: Float32Array | null;
  readonly document: string | null;
  readonly uri: string | null;
  readonly metadata: object | null;
}

/** What was read from a store in the same form. */
export function comparable(records: Iterable<StoredRecord>): ReadonlyMap<string, Comparable> {
  const found = new Map<string, Comparable>();
  for (const { id, embedding, document, uri, metadata } of records) {
    const parsed = metadata === null ? null : (JSON.parse(metadata) as object);
    found.set(id, { embedding, document, uri, metadata: parsed });
  }
  return found;
}

async function ask(url: string, body?: object): Promise<unknown> {
  const response = await fetch(
    url,
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
  );
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${await response.text()}`);
  return response.json();
}

/** What a server of a cosine collection changes of a value: it divides by the vector's length and multiplies by it again. */
const cosineTolerance = 2 ** -21;

/** How a record of that id differs, or undefined. Vectors of cosine collections are equal within float32's rounding. */
export function differenceOf(
  found: Comparable | undefined,
  expected: Comparable | undefined,
  isCosine: boolean,
): string | undefined {
  if (found === undefined || expected === undefined)
    return found === expected ? undefined : 'not on both sides';
  for (const part of ['document', 'uri', 'metadata'] as const)
    if (!isDeepStrictEqual(found[part], expected[part]))
      return `${part}: ${JSON.stringify(found[part])} instead of ${JSON.stringify(expected[part])}`;
  const [a, b] = [found.embedding ?? [], expected.embedding ?? []];
  const isSame = (value: number, i: number): boolean => {
    const other = b[i] ?? NaN;
    return value === other || (isCosine && Math.abs(value - other) <= cosineTolerance * Math.abs(other));
  };
  return a.length === b.length && a.every(isSame)
    ? undefined
    : `embedding: ${a.join()} instead of ${b.join()}`;
}

/** The differences between two collections, by id. */
export function differencesOf(
  found: ReadonlyMap<string, Comparable>,
  expected: ReadonlyMap<string, Comparable>,
  isCosine: boolean,
): readonly string[] {
  return [...new Set([...found.keys(), ...expected.keys()])].flatMap((id) => {
    const difference = differenceOf(found.get(id), expected.get(id), isCosine);
    return difference === undefined ? [] : [`${JSON.stringify(id)}: ${difference}`];
  });
}
