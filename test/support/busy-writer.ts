import { setTimeout as sleep } from 'node:timers/promises';
import { ChromaClient, type Collection } from 'chromadb';
import {
  defaultCollections,
  documentOf,
  metadataOf,
  randomFrom,
  vectorOf,
  type CollectionSpec,
  type RecordState,
} from './records.ts';

export interface BusyWriterOptions {
  /** Port of a Chroma server on 127.0.0.1. */
  readonly port: number;
  readonly collections?: readonly CollectionSpec[];
  /** Concurrent writers, each with records of its own, default 4. */
  readonly workers?: number;
  /** Records per request at most, default 20. */
  readonly batchSize?: number;
  /** Pause of each worker between two requests, default 0. */
  readonly pauseMs?: number;
  /** The same seed gives every worker the same sequence of operations, default 1. */
  readonly seed?: number;
}

/** A moment in the writer's order of events. */
export type Checkpoint = number;

/** One state a record had: visible in a copy made after `sent`, certain in one made after `acknowledged`. */
interface Version {
  /** Undefined: deleted, or never there. */
  readonly state: RecordState | undefined;
  /** The worker's operations are numbered 1, 2, 3 …; 0 is the absence before the first. */
  readonly operation: number;
  readonly sent: Checkpoint;
  acknowledged: Checkpoint | undefined;
  /** The server refused, or did not answer: it may have happened all the same. Always a record's last version. */
  failed: boolean;
}

export interface ExpectedRecord {
  readonly worker: number;
  /** What a copy may hold, oldest first. */
  readonly states: readonly PossibleState[];
}

/** A state a record had from the worker's operation `since` until before its operation `until`. */
export interface PossibleState {
  /** Undefined: absent. */
  readonly state: RecordState | undefined;
  readonly since: number;
  readonly until: number;
}

/** What a copy made in a period may hold. Plain data: it can be sent between processes. */
export interface Expectation {
  readonly collections: readonly CollectionSpec[];
  /** By collection name, then record id. An id that is not here must not exist. */
  readonly records: ReadonlyMap<string, ReadonlyMap<string, ExpectedRecord>>;
}

export interface WriterReport {
  /** Acknowledged requests. */
  readonly operations: number;
  /** Requests the server refused, in order. An application would have lost these writes. */
  readonly failures: readonly string[];
  /** The longest a request took, unfinished ones included, milliseconds. */
  readonly longestWriteMs: number;
  readonly medianWriteMs: number;
}

export interface BusyWriter {
  /** Call it before a capture begins: everything acknowledged until now must be in it. */
  checkpoint(): Promise<Checkpoint>;
  /** What a copy may hold that was begun after `from` and finished before `to` (default now). */
  expectation(from: Checkpoint, to?: Checkpoint): Promise<Expectation>;
  /** What happened since a checkpoint, default since the start. */
  report(since?: Checkpoint): Promise<WriterReport>;
  /** Resolves when no request is under way. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends the workers after their present request. */
  stop(): Promise<WriterReport>;
}

/**
 * Writes to a Chroma server without a pause: adds, upserts, updates and deletes in batches, remembering for every
 * record what it was and when. Each worker waits for its answer before its next request and owns its records, so what
 * it wrote is totally ordered, and a copy holds all operations up to some moment and none after.
 */
export async function startBusyWriter(options: BusyWriterOptions): Promise<BusyWriter> {
  const specs = options.collections ?? defaultCollections;
  const client = new ChromaClient({ host: '127.0.0.1', port: options.port });
  const targets = await Promise.all(specs.map((spec) => openTarget(client, spec)));
  const journal = new Journal(specs);
  const control = new Control();
  const workers = Array.from({ length: options.workers ?? 4 }, (_, index) =>
    work(index, targets, journal, control, options),
  );
  // A worker never rejects; failures are in the journal.
  const ended = Promise.all(workers);

  return {
    checkpoint: () => Promise.resolve(journal.now()),
    expectation: (from, to) => Promise.resolve(journal.expectation(from, to)),
    report: (since) => Promise.resolve(journal.report(since)),
    pause: () => control.pause(workers.length),
    resume: () => Promise.resolve(control.resume()),
    async stop() {
      control.stop();
      await ended;
      return journal.report();
    },
  };
}

interface Target {
  readonly spec: CollectionSpec;
  readonly collection: Collection;
}

async function openTarget(client: ChromaClient, spec: CollectionSpec): Promise<Target> {
  const { name, space, syncThreshold } = spec;
  const hnsw =
    syncThreshold === undefined
      ? { space }
      : { space, sync_threshold: syncThreshold, batch_size: Math.min(100, syncThreshold) };
  const collection = await client.createCollection({
    name,
    configuration: { hnsw },
    embeddingFunction: null,
  });
  return { spec, collection };
}

/** Lets workers be paused between two requests. */
class Control {
  stopped = false;
  #paused = false;
  #waiting = 0;
  #wake: (() => void)[] = [];

  /** False: end. */
  async next(): Promise<boolean> {
    this.#waiting++;
    while (this.#paused && !this.stopped) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
    this.#waiting--;
    return !this.stopped;
  }

  async pause(workers: number): Promise<void> {
    this.#paused = true;
    while (this.#waiting < workers && !this.stopped) await sleep(5);
  }

  resume(): void {
    this.#paused = false;
    for (const wake of this.#wake.splice(0)) wake();
  }

  stop(): void {
    this.stopped = true;
    this.resume();
  }
}

class Journal {
  readonly #specs: readonly CollectionSpec[];
  readonly #records = new Map<
    string,
    Map<string, { readonly worker: number; readonly versions: Version[] }>
  >();
  readonly #requests: { readonly sent: Checkpoint; readonly startedAt: number; ms: number | undefined }[] =
    [];
  readonly #failures: { readonly at: Checkpoint; readonly message: string }[] = [];
  #clock = 0;

  constructor(specs: readonly CollectionSpec[]) {
    this.#specs = specs;
    for (const { name } of specs) this.#records.set(name, new Map());
  }

  now(): Checkpoint {
    return ++this.#clock;
  }

  /** Notes that a request leaves; the result is called with its outcome. */
  begin(change: {
    collection: string;
    worker: number;
    operation: number;
    states: ReadonlyMap<string, RecordState | undefined>;
  }): (failure?: string) => void {
    const sent = this.now();
    const request: { readonly sent: Checkpoint; readonly startedAt: number; ms: number | undefined } = {
      sent,
      startedAt: performance.now(),
      ms: undefined,
    };
    this.#requests.push(request);
    const records = this.#records.get(change.collection) ?? new Map<string, never>();
    const versions = [...change.states].map(([id, state]) => {
      const version: Version = {
        state,
        operation: change.operation,
        sent,
        acknowledged: undefined,
        failed: false,
      };
      const record = records.get(id);
      if (record) record.versions.push(version);
      else {
        const absent: Version = { state: undefined, operation: 0, sent: 0, acknowledged: 0, failed: false };
        records.set(id, { worker: change.worker, versions: [absent, version] });
      }
      return version;
    });
    return (failure) => {
      request.ms = performance.now() - request.startedAt;
      const at = this.now();
      if (failure === undefined) for (const version of versions) version.acknowledged = at;
      else {
        for (const version of versions) version.failed = true;
        this.#failures.push({ at, message: failure });
      }
    };
  }

  expectation(from: Checkpoint, to: Checkpoint = this.now()): Expectation {
    const records = new Map<string, Map<string, ExpectedRecord>>();
    for (const [collection, all] of this.#records) {
      const expected = new Map<string, ExpectedRecord>();
      records.set(collection, expected);
      for (const [id, { worker, versions }] of all) {
        const first = versions.findLastIndex((version) => (version.acknowledged ?? Infinity) < from);
        const states = versions.flatMap(({ state, operation, sent }, index) => {
          if (index < first || sent >= to) return [];
          const next = versions[index + 1];
          return { state, since: operation, until: next && !next.failed ? next.operation : Infinity };
        });
        expected.set(id, { worker, states });
      }
    }
    return { collections: this.#specs, records };
  }

  report(since: Checkpoint = 0): WriterReport {
    const requests = this.#requests.filter(({ sent, ms }) => sent > since || ms === undefined);
    const times = requests
      .map(({ startedAt, ms }) => ms ?? performance.now() - startedAt)
      .toSorted((a, b) => a - b);
    return {
      operations: requests.filter(({ ms }) => ms !== undefined).length,
      failures: this.#failures.filter(({ at }) => at > since).map(({ message }) => message),
      longestWriteMs: Math.round(times.at(-1) ?? 0),
      medianWriteMs: Math.round(times[times.length >> 1] ?? 0),
    };
  }
}

/** One worker: a request, its answer, the next request. */
async function work(
  worker: number,
  targets: readonly Target[],
  journal: Journal,
  control: Control,
  { seed = 1, batchSize = 20, pauseMs = 0 }: BusyWriterOptions,
): Promise<void> {
  const random = randomFrom(seed * 1000 + worker);
  const below = (limit: number): number => Math.floor(random() * limit);
  /** Per collection, the worker's live records. Those of a failed request are never touched again. */
  const live = targets.map(() => new Map<string, RecordState>());
  let nextId = 0;
  // Seeds are unique over all workers, so a state that is found says which operation made it.
  let nextSeed = worker * 10_000_000;
  const fresh = (): RecordState => {
    const only = nextSeed++;
    return { vectorSeed: only, documentSeed: only, metadataSeed: only };
  };

  for (let operation = 1; await control.next(); operation++) {
    const index = below(targets.length);
    const { spec, collection } = targets[index]!;
    const mine = live[index]!;
    const size = 1 + below(batchSize);
    const kind = mine.size < 20 ? 'add' : chooseKind(random());
    const states = new Map<string, RecordState | undefined>();
    if (kind !== 'add') {
      const ids = [...mine.keys()];
      for (let i = 0; i < size && ids.length > 0; i++) {
        const [id] = ids.splice(below(ids.length), 1);
        states.set(id!, change[kind](mine.get(id!)!, fresh));
      }
    }
    if (kind === 'add' || kind === 'upsert') {
      for (let i = 0; i < size; i++) states.set(`w${worker}-${nextId++}`, fresh());
    }

    const end = journal.begin({ collection: spec.name, worker, operation, states });
    for (const id of states.keys()) mine.delete(id);
    try {
      await send(kind, spec, collection, states);
      end();
      for (const [id, state] of states) if (state) mine.set(id, state);
    } catch (error) {
      end(`worker ${worker} cannot ${kind} in "${spec.name}": ${String(error)}`);
      await sleep(100);
    }
    if (pauseMs > 0) await sleep(pauseMs);
  }
}

type Kind = 'add' | keyof typeof change;

const change = {
  upsert: (_: RecordState, fresh: () => RecordState) => fresh(),
  update: ({ metadataSeed }: RecordState, fresh: () => RecordState) => ({ ...fresh(), metadataSeed }),
  updateVector: (state: RecordState, fresh: () => RecordState) => ({
    ...state,
    vectorSeed: fresh().vectorSeed,
  }),
  updateMetadata: (state: RecordState, fresh: () => RecordState) => ({
    ...state,
    metadataSeed: fresh().metadataSeed,
  }),
  delete: () => undefined,
} satisfies Record<string, (state: RecordState, fresh: () => RecordState) => RecordState | undefined>;

/** Half adds, so that the store grows. */
function chooseKind(dice: number): Kind {
  if (dice < 0.45) return 'add';
  if (dice < 0.6) return 'upsert';
  if (dice < 0.68) return 'update';
  if (dice < 0.74) return 'updateVector';
  if (dice < 0.8) return 'updateMetadata';
  return 'delete';
}

async function send(
  kind: Kind,
  spec: CollectionSpec,
  collection: Collection,
  states: ReadonlyMap<string, RecordState | undefined>,
): Promise<void> {
  const ids = [...states.keys()];
  const present = [...states.values()].filter((state) => state !== undefined);
  const embeddings = present.map(({ vectorSeed }) => vectorOf(spec, vectorSeed));
  const documents = present.map(({ documentSeed }) => documentOf(documentSeed));
  const metadatas = present.map(({ metadataSeed }) => metadataOf(metadataSeed));
  switch (kind) {
    case 'add':
      return collection.add({ ids, embeddings, documents, metadatas });
    case 'upsert':
      return collection.upsert({ ids, embeddings, documents, metadatas });
    case 'update':
      return collection.update({ ids, embeddings, documents });
    case 'updateVector':
      return collection.update({ ids, embeddings });
    case 'updateMetadata':
      return collection.update({ ids, metadatas });
    case 'delete':
      await collection.delete({ ids });
  }
}
