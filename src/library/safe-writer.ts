import type { ProtectOptions } from '../api/protecting.ts';
import type { SyncAgent } from '../api/sync-agent.ts';
import { systemClock } from '../platform/clock.ts';
import { SyncAgentError, isSyncAgentError } from '../platform/errors.ts';
import type { Emit } from '../platform/events.ts';
import { indexRecords } from '../engine/writing/index-records.ts';
import type { IndexOptions, IndexResult } from '../engine/writing/index-records.ts';
import { resumable } from '../engine/records/import-records.ts';
import { defaultMemoryThreshold, memoryGuard } from '../engine/writing/memory-guard.ts';
import { assertDeadline, defaultDeadlineMs } from '../in-process/write-by-url.ts';
import { retryingTarget } from '../in-process/retrying-target.ts';
import { serverMemory } from '../in-process/server-memory.ts';
import type { ChromaClientLike, ChromaCollectionLike } from '../stores/chroma/client/chroma-client.ts';
import { clientTarget } from '../stores/chroma/client/client-target.ts';
import { writerInput } from './writer-input.ts';
import type { WriterRecord } from './writer-input.ts';

export interface SafeWriterOptions {
  /** A `ChromaClient` of the package `chromadb`, version 3. */
  readonly client: ChromaClientLike;
  /** Is notified after each batch, and protects calls that ask for it: an agent of `createSyncAgent`. */
  readonly agent?: WriterAgent | undefined;
  /** The server's URL. If it runs on this host, the memory of its container counts, too. */
  readonly serverUrl?: string | undefined;
  /** Nothing is sent while a larger share of the memory of host or container is used, 0 to 1. Default 0.8. */
  readonly memoryThreshold?: number | undefined;
  /** For each request, milliseconds. Default 30 s. A batch that is not answered by then is made smaller. */
  readonly deadlineMs?: number | undefined;
  /** Called with every event: phases, progress, retries, warnings. */
  readonly onEvent?: Emit | undefined;
}

export interface WriterAgent extends Pick<SyncAgent, 'notify'>, Partial<Pick<SyncAgent, 'protect'>> {}

export interface WriterIndexOptions extends IndexOptions {
  /**
   * Makes a snapshot of the store before anything is sent, keeps it for a while, and checks the store afterwards: `agent.protect`. `true`: with
   * a snapshot of this moment. Default: none is made.
   */
  readonly protect?: boolean | ProtectOptions | undefined;
  /** Aborts the call, which then rejects with INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
}

/** Writes to a Chroma server so that it is not overwhelmed, and so that what it says it took is really there. */
export interface SafeWriter {
  /**
   * Writes records into a collection; named by a text, it is made without an embedding function if it is missing. Records that are there
   * and equal are not sent, others of that id are changed in place, each is read back. An array whose records have their vectors is checked
   * whole before anything is sent; of other iterables each batch is. After an error the same call goes on where it stopped. Rejects with
   * USAGE for a record that the server would refuse, REFUSED if memory stays short, REMOTE_UNREACHABLE if the server does not answer.
   */
  index(
    collection: string | ChromaCollectionLike,
    records: Iterable<WriterRecord> | AsyncIterable<WriterRecord>,
    options?: WriterIndexOptions,
  ): Promise<IndexResult>;
}

/** Makes no request. USAGE for what is no client. */
export function createSafeWriter({
  client,
  agent,
  serverUrl,
  memoryThreshold: threshold = defaultMemoryThreshold,
  deadlineMs = defaultDeadlineMs,
  onEvent: emit = () => undefined,
}: SafeWriterOptions): SafeWriter {
  for (const method of ['getMaxBatchSize', 'getCollection', 'createCollection'] as const) {
    if (typeof client[method] === 'function') continue;
    throw new SyncAgentError('USAGE', `Cannot write by this Chroma client: it has no "${method}"`, {
      remedy: 'Pass a ChromaClient of the package chromadb, version 3',
    });
  }
  const memory = serverMemory(serverUrl);
  const guardNow = () => memoryGuard({ read: () => memory.use(), threshold, clock: systemClock, emit });
  guardNow();
  assertDeadline(deadlineMs);
  return {
    index: async (given, records, { signal, protect = false, ...options } = {}) => {
      const bare = clientTarget(client, given, { deadlineMs, url: serverUrl });
      const target = retryingTarget(bare, { clock: systemClock, emit, operation: 'index', isSplit: true });
      const place =
        typeof given === 'string'
          ? { tenant: 'default_tenant', database: 'default_database', name: given }
          : { tenant: given.tenant ?? 'default_tenant', database: given.database ?? 'default_database', name: given.name }; // prettier-ignore
      const protection = protect === true ? ({ risk: 'risky' } as const) : protect;
      return protectedBy(agent, place.name, protection, signal, () =>
        indexRecords({
          ...options,
          target,
          place,
          input: writerInput(records, () => bare.collection()?.embeddingFunction),
          guard: guardNow(),
          clock: systemClock,
          emit,
          onWritten: () => notify(agent),
          signal,
        }),
      );
    },
  };
}

async function protectedBy(
  agent: WriterAgent | undefined,
  collection: string,
  protection: ProtectOptions | false,
  signal: AbortSignal | undefined,
  write: () => Promise<IndexResult>,
): Promise<IndexResult> {
  if (protection === false) return resumable(write);
  if (agent?.protect === undefined)
    throw new SyncAgentError('USAGE', 'Cannot protect: the safe writer has no agent that does', {
      remedy: 'Pass one of createSyncAgent',
    });
  const options = signal === undefined ? protection : { signal, ...protection };
  return agent.protect(`index ${collection.slice(0, longestName)}`, () => resumable(write), options);
}

/** Of a name that the operation log takes. */
const longestName = 80;

/** An agent that was never started looks at the store when it starts. */
function notify(agent: SafeWriterOptions['agent']): void {
  try {
    agent?.notify();
  } catch (error) {
    if (!isSyncAgentError(error, 'USAGE')) throw error;
  }
}
