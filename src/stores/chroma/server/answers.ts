import * as z from 'zod';
import { SyncAgentError } from '../../../platform/errors.ts';
import { elementTexts, memberTexts } from '../../../platform/json/json-slices.ts';

/** What a Chroma server answers, as far as it is used (OpenAPI of API v2, /openapi.json of the server). */
export const heartbeatSchema = z.object({ 'nanosecond heartbeat': z.number() });
export const versionSchema = z.string().max(100);
export const preflightSchema = z.object({ max_batch_size: z.int().positive() });
export const countSchema = z.int().nonnegative();
export const nameSchema = z.object({ name: z.string() });
export const databasesSchema = z.array(z.object({ name: z.string(), tenant: z.string().nullish() }));

const collectionSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  tenant: z.string(),
  database: z.string(),
  dimension: z.int().nonnegative().nullish(),
});

/** A collection as its server describes it. */
export interface ServerCollection {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly database: string;
  /** Null while it never had a vector. */
  readonly dimension: number | null;
  /**
   * JSON texts as the server sent them; null if it sent none. Numbers keep their form: `5.0` is no integer. The order of keys changes from
   * answer to answer.
   */
  readonly metadata: string | null;
  readonly configuration: string | null;
  readonly schema: string | null;
}

/** Which parts of records are wanted. Each costs the server's work. */
export type IncludedPart = 'embeddings' | 'documents' | 'metadatas' | 'uris';

/** A record as its server sends it. What was not asked for is null. */
export interface ServerRecord {
  readonly id: string;
  /** Of a cosine collection the server's own product of direction and length: equal to what was stored within float32. */
  readonly embedding: Float32Array | null;
  readonly document: string | null;
  readonly uri: string | null;
  /** JSON text as the server sent it, so that `5.0` is no integer. */
  readonly metadata: string | null;
}

const recordsSchema = z.object({
  ids: z.array(z.string()),
  embeddings: z.array(z.array(z.number()).nullable()).nullish(),
  documents: z.array(z.string().nullable()).nullish(),
  uris: z.array(z.string().nullable()).nullish(),
});

export const hitsSchema = z.object({
  ids: z.array(z.array(z.string())).length(1),
});

/** Parses an answer, or rejects with UNSUPPORTED: whatever answers there is no Chroma server that we know. */
export function parseAnswer<T>(schema: z.ZodType<T>, text: string, failed: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw notUnderstood(failed, text, error);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw notUnderstood(failed, text, z.prettifyError(parsed.error));
}

export function parseCollection(text: string, failed: string): ServerCollection {
  const { dimension, ...rest } = parseAnswer(collectionSchema, text, failed);
  const members = memberTexts(text);
  const part = (name: string): string | null => {
    const value = members?.get(name);
    return value === undefined || value === 'null' ? null : value;
  };
  return {
    ...rest,
    dimension: dimension ?? null,
    metadata: part('metadata'),
    configuration: part('configuration_json'),
    schema: part('schema'),
  };
}

export function parseCollections(text: string, failed: string): readonly ServerCollection[] {
  parseAnswer(z.array(z.unknown()), text, failed);
  return (elementTexts(text) ?? []).map((each) => parseCollection(each, failed));
}

export function parseRecords(text: string, failed: string): readonly ServerRecord[] {
  const { ids, embeddings, documents, uris } = parseAnswer(recordsSchema, text, failed);
  const metadatas = elementTexts(memberTexts(text)?.get('metadatas') ?? '');
  for (const list of [embeddings, documents, uris, metadatas]) {
    if (list != null && list.length !== ids.length)
      throw notUnderstood(failed, text, `${ids.length} ids, but ${list.length} values`);
  }
  return ids.map((id, index) => {
    const embedding = embeddings?.[index];
    const metadata = metadatas?.[index];
    return {
      id,
      embedding: embedding == null ? null : Float32Array.from(embedding),
      document: documents?.[index] ?? null,
      uri: uris?.[index] ?? null,
      metadata: metadata === undefined || metadata === 'null' ? null : metadata,
    };
  });
}

function notUnderstood(failed: string, text: string, cause: unknown): SyncAgentError {
  const shown = JSON.stringify(text.slice(0, 100));
  return new SyncAgentError(
    'UNSUPPORTED',
    `${failed}: its answer ${shown} is not what a Chroma server says`,
    {
      remedy: 'Check the URL. Servers of Chroma 0.5.16 and later are understood',
      cause,
    },
  );
}
