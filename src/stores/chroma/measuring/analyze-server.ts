import { throwIfAborted } from '../../../platform/errors.ts';
import { fullest, shareOf } from '../../../platform/memory/memory-use.ts';
import type { MemoryUse } from '../../../platform/memory/memory-use.ts';
import type { CollectionDescription, SourceRecord } from '../../record-source.ts';
import { openChromaServer } from '../server/chroma-server.ts';
import { openServerTarget } from '../server/record-target.ts';
import { recommend } from './recommend.ts';
import type { AnalyzedBatch, Recommendation } from './recommend.ts';
import { makeScratch, removeLeftovers, removeScratch, scratchName } from './scratch-collection.ts';
import type { ScratchOwner } from './scratch-collection.ts';

export interface ServerAnalysis {
  /** Without credentials. */
  readonly url: string;
  readonly version: string;
  /** Records that one request may carry. */
  readonly maxBatch: number;
  readonly dimension: number;
  readonly batches: readonly AnalyzedBatch[];
  /** Of one record by its vector, milliseconds, in a collection of `records`. */
  readonly query: { readonly medianMs: number; readonly slowestMs: number; readonly records: number };
  /** Why larger batches were not tried. Null if all were. */
  readonly stopped: 'too-slow' | 'memory' | 'time' | null;
  readonly recommendation: Recommendation;
  /** Scratch collections of killed runs that were removed. */
  readonly leftovers: number;
}

export interface AnalyzeOptions {
  readonly url: string;
  readonly dimension: number;
  /** Ends the analysis when a larger share is used. */
  readonly memoryThreshold: number;
  readonly memory: () => Promise<readonly MemoryUse[]>;
  /** Resident memory of the server's process, bytes. Null if it cannot be seen. */
  readonly serverBytes: () => Promise<number | null>;
  readonly owner: ScratchOwner;
  readonly isGone: (owner: ScratchOwner) => boolean;
  /** Makes the collection's name. */
  readonly suffix: string;
  readonly random: () => number;
  readonly now: () => number;
  readonly onProgress: (done: number, total: number) => void;
  readonly signal: AbortSignal | undefined;
}

/** Records that are there before anything is measured: the first ones cost an index next to nothing. */
const ahead = 500;
/** Records of a batch, and how many of them are sent: with those ahead some 5,000 records in all. */
const plan = [
  [1, 5],
  [10, 3],
  [50, 3],
  [100, 3],
  [250, 3],
  [500, 2],
  [1000, 2],
] as const;
const tooSlowMs = 5000;
const budgetMs = 60_000;
const timeoutMs = 30_000;
const queries = 5;

/**
 * Measures what a server sustains, in a collection of its own that it removes, whatever happens. Batches grow until they take too long,
 * memory is short or the time is over. Rejects as the server's calls do.
 */
export async function analyzeServer(options: AnalyzeOptions): Promise<ServerAnalysis> {
  const { url, dimension, memoryThreshold, signal, now } = options;
  const server = openChromaServer({ url, timeoutMs });
  const target = openServerTarget({ url, timeoutMs });
  const maxBatch = await target.maxBatch(signal);
  const version = await server.version({ signal });
  const serverNowMs = await server.heartbeat({ signal });
  const leftovers = await removeLeftovers(server, target, options.isGone, serverNowMs, signal);
  const sizes = plan.filter(([records]) => records <= maxBatch);
  const total = ahead + sizes.reduce((all, [records, times]) => all + records * times, 0);
  const batches: AnalyzedBatch[] = [];
  let [done, stopped]: [number, ServerAnalysis['stopped']] = [0, null];
  const startMs = now();
  try {
    const collection = await makeScratch(target, options.suffix, options.owner, serverNowMs, signal);
    const send = async (records: readonly SourceRecord[], into: CollectionDescription) => {
      throwIfAborted(signal, 'Analyzing the server');
      const atMs = now();
      await target.add(into, records, signal);
      const addedMs = now() - atMs;
      await target.byIds(
        into,
        records.map(({ id }) => id),
        signal,
      );
      done += records.length;
      options.onProgress(done, total);
      return { addMs: addedMs, bothMs: now() - atMs };
    };
    options.onProgress(0, total);
    const aheadAtOnce = Math.min(maxBatch, 50);
    for (let left = ahead; left > 0; left -= aheadAtOnce)
      await send(someRecords(Math.min(aheadAtOnce, left), done, options), collection);
    for (const [records, times] of sizes) {
      const took: { readonly addMs: number; readonly bothMs: number }[] = [];
      for (let i = 0; i < times; i++) took.push(await send(someRecords(records, done, options), collection));
      const most = fullest(await options.memory());
      const slowestMs = Math.max(...took.map(({ bothMs }) => bothMs));
      batches.push({
        records,
        addMs: rounded(median(took.map(({ addMs }) => addMs))),
        medianMs: rounded(median(took.map(({ bothMs }) => bothMs))),
        slowestMs: rounded(slowestMs),
        recordsPerSecond: Math.round((1000 * records * times) / sum(took.map(({ bothMs }) => bothMs))),
        serverBytes: await options.serverBytes(),
        memory: most ?? null,
      });
      if (slowestMs > tooSlowMs) stopped = 'too-slow';
      else if (most !== undefined && shareOf(most) > memoryThreshold) stopped = 'memory';
      else if (now() - startMs > budgetMs) stopped = 'time';
      if (stopped !== null) break;
    }
    const asked: number[] = [];
    for (let i = 0; i < queries; i++) {
      const atMs = now();
      await server.query(collection, randomVector(options), 10, { signal });
      asked.push(now() - atMs);
    }
    const query = { medianMs: rounded(median(asked)), slowestMs: rounded(Math.max(...asked)), records: done };
    const recommendation = recommend(batches);
    return {
      url: server.url,
      version,
      maxBatch,
      dimension,
      batches,
      query,
      stopped,
      recommendation,
      leftovers,
    };
  } finally {
    // Also after an abort, so without its signal; and if the answer that it was made is lost.
    await removeScratch(target, scratchName(options.suffix), undefined);
  }
}

const randomVector = ({ dimension, random }: Pick<AnalyzeOptions, 'dimension' | 'random'>): Float32Array =>
  Float32Array.from({ length: dimension }, () => random() * 2 - 1);

const text =
  'Some words of a document as applications keep them beside a vector, in two or three sentences. ';

function someRecords(count: number, from: number, options: AnalyzeOptions): readonly SourceRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `scratch-${from + i}`,
    embedding: randomVector(options),
    document: `${from + i}: ${text.repeat(3)}`,
    uri: null,
    metadata: JSON.stringify({ number: from + i, part: `part ${i % 10}`, isEven: i % 2 === 0 }),
  }));
}

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
const rounded = (ms: number): number => Math.round(ms * 10) / 10;
