import type { IndexInput } from '../engine/writing/index-records.ts';
import { metadataProblem } from '../engine/records/record-line.ts';
import type { NamedRecord, RecordProblem } from '../engine/records/send-batch.ts';
import { SyncAgentError, messageOf } from '../platform/errors.ts';
import type { EmbedderLike } from '../stores/chroma/client/chroma-client.ts';

/** A record as programs have it. */
export interface WriterRecord {
  readonly id: string;
  /** Left out, the collection's embedding function makes it of the document. */
  readonly embedding?: readonly number[] | Float32Array | null | undefined;
  readonly document?: string | null | undefined;
  readonly uri?: string | null | undefined;
  readonly metadata?: WriterMetadata | null | undefined;
}

export type WriterMetadata = Readonly<
  Record<string, string | number | boolean | readonly string[] | readonly number[] | readonly boolean[]>
>;

/** Texts that are given to an embedding function at once. */
const textsAtOnce = 32;

export function writerInput(
  records: Iterable<WriterRecord> | AsyncIterable<WriterRecord>,
  embedder: () => EmbedderLike | undefined,
): IndexInput {
  return {
    read: (onBroken) => withVectors(named(records, onBroken), embedder, onBroken),
    // Vectors are not made twice.
    isRepeatable: isArray(records) && records.every((each) => each?.embedding != null),
  };
}

const isArray = (value: unknown): value is readonly (WriterRecord | null | undefined)[] =>
  Array.isArray(value);

async function* named(
  records: Iterable<WriterRecord> | AsyncIterable<WriterRecord>,
  onBroken: (problem: RecordProblem) => void,
): AsyncGenerator<NamedRecord> {
  let number = 0;
  for await (const each of records) {
    number += 1;
    const where = `record ${number} of the input`;
    const message = problemOf(each);
    if (message === undefined) yield { where, record: sourceOf(each) };
    else onBroken({ where, id: typeof each?.id === 'string' ? each.id : null, message });
  }
}

/** What a type checker finds, for those who have none. */
function problemOf(each: WriterRecord): string | undefined {
  if (typeof each !== 'object' || each === null) return 'it is no object';
  const { id, embedding, document, uri, metadata } = each;
  if (typeof id !== 'string') return '"id" is no text';
  if (embedding != null && !Array.isArray(embedding) && !(embedding instanceof Float32Array))
    return '"embedding" is no array of numbers';
  if (embedding != null && !(embedding as readonly unknown[]).every((value) => typeof value === 'number'))
    return '"embedding" is no array of numbers';
  for (const [name, value] of Object.entries({ document, uri }))
    if (value != null && typeof value !== 'string') return `"${name}" is no text`;
  if (metadata == null) return undefined;
  // Before it becomes text, in which NaN is null.
  return metadataProblem(metadata, '{}');
}

const sourceOf = ({ id, embedding, document, uri, metadata }: WriterRecord): NamedRecord['record'] => ({
  id,
  embedding: embedding == null ? null : Float32Array.from(embedding),
  document: document ?? null,
  uri: uri ?? null,
  metadata: metadata == null ? null : JSON.stringify(metadata),
});

async function* withVectors(
  records: AsyncIterable<NamedRecord>,
  embedder: () => EmbedderLike | undefined,
  onBroken: (problem: RecordProblem) => void,
): AsyncGenerator<NamedRecord> {
  let waiting: NamedRecord[] = [];
  for await (const each of records) {
    // The order stays.
    if (waiting.length === 0 && each.record.embedding !== null) yield each;
    else waiting.push(each);
    if (waiting.length < textsAtOnce) continue;
    yield* embedded(waiting, embedder(), onBroken);
    waiting = [];
  }
  yield* embedded(waiting, embedder(), onBroken);
}

async function* embedded(
  records: readonly NamedRecord[],
  embedder: EmbedderLike | undefined,
  onBroken: (problem: RecordProblem) => void,
): AsyncGenerator<NamedRecord> {
  const bare = records.filter(({ record }) => record.embedding === null && record.document !== null);
  const vectors =
    embedder === undefined || bare.length === 0
      ? []
      : await embedder.generate(bare.map(({ record }) => record.document ?? '')).catch((cause: unknown) => {
          throw new SyncAgentError('INTERNAL', `Cannot make vectors of documents: ${messageOf(cause)}`, {
            cause,
          });
        });
  if (embedder !== undefined && vectors.length !== bare.length) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot index: the embedding function made ${vectors.length} vectors of ${bare.length} documents`,
    );
  }
  const made = new Map(bare.map((each, i) => [each, vectors[i]]));
  for (const each of records) {
    const vector = made.get(each);
    if (each.record.embedding !== null) yield each;
    else if (vector !== undefined)
      yield { where: each.where, record: { ...each.record, embedding: Float32Array.from(vector) } };
    else {
      const { where, record } = each;
      const message =
        record.document === null
          ? 'it has neither embedding nor document'
          : 'it has no embedding, and the collection has no embedding function';
      onBroken({ where, id: record.id, message });
    }
  }
}
