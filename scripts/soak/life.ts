import { forkBusyWriter } from '../../test/support/busy-writer-process.ts';
import type { ForkedBusyWriter } from '../../test/support/busy-writer-process.ts';
import type { BusyWriterOptions, Checkpoint, Expectation } from '../../test/support/busy-writer.ts';
import { startChromaServer } from '../../test/support/chroma-server.ts';
import type { ChromaServer } from '../../test/support/chroma-server.ts';
import { defaultCollections } from '../../test/support/records.ts';
import type { Figures } from './figures.ts';

/** A store between two disasters: one server, one writer with collections of its own, and what it started with. */
export interface Life {
  readonly number: number;
  readonly store: string;
  checkpoint(): Promise<Checkpoint>;
  /** What a capture may hold that began after `from` and ended before `to`; `only` what this life wrote itself. */
  expectation(
    from: Checkpoint,
    to: Checkpoint | undefined,
  ): Promise<{
    readonly all: Expectation;
    readonly own: Expectation;
  }>;
  /** Resolves when no write is under way. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /**
   * The server dies as with the machine's power, or ends as `signal` says. What the writer saw before counts; `seesEnd`: it
   * goes on writing, so that its last requests fail.
   */
  die(options?: { readonly signal?: 'SIGINT' | 'SIGKILL'; readonly seesEnd?: boolean }): Promise<void>;
  /** Forgets what was written; no expectation can be asked for any more. */
  forget(): Promise<void>;
}

/** How busy the writer is. */
export type Pace = Required<Pick<BusyWriterOptions, 'workers' | 'batchSize' | 'pauseMs'>>;
/** What a life needs of its server, which may be another program's child. */
export type LifeServer = Pick<ChromaServer, 'port' | 'client' | 'ended' | 'stop'>;

const soakPace: Pace = { workers: 3, batchSize: 12, pauseMs: 15 };
const workersPerLife = 100;
const empty: Expectation = { collections: [], records: new Map() };

/**
 * Starts a server on a store that holds what `restored` says, and writes to it. Of that, only what the last life
 * wrote is kept, so that the store stays small.
 */
export async function startLife(options: {
  readonly number: number;
  readonly store: string;
  readonly seed: number;
  readonly figures: Figures;
  readonly restored?: { readonly all: Expectation; readonly own: Expectation };
  /** One that runs already. */
  readonly server?: LifeServer;
  readonly pace?: Pace;
}): Promise<Life> {
  const { number, store, seed, figures, restored, pace = soakPace } = options;
  const server = options.server ?? (await startChromaServer({ path: store }));
  const baseline = restored?.own ?? empty;
  await dropOld(server, restored?.all ?? empty, baseline);
  const collections = defaultCollections.map((spec) => ({ ...spec, name: `life-${number}-${spec.name}` }));
  const writer = await forkBusyWriter({
    port: server.port,
    seed: seed + number,
    collections,
    ...pace,
  });
  let isDying = false;
  const watch = async (): Promise<void> => {
    const how = await server.ended;
    if (!isDying) figures.find(`the Chroma server of life ${number} died: ${how}`);
  };
  void watch();
  return {
    number,
    store,
    checkpoint: () => writer.checkpoint(),
    expectation: async (from, to) => {
      const own = apart(await writer.expectation(from, to), number * workersPerLife);
      const all: Expectation = {
        collections: [...baseline.collections, ...own.collections],
        records: new Map([...baseline.records, ...own.records]),
      };
      return { all, own };
    },
    pause: () => writer.pause(),
    resume: () => writer.resume(),
    die: async ({ signal = 'SIGKILL', seesEnd = false } = {}) => {
      if (!seesEnd) await count(writer, figures, number);
      isDying = true;
      await server.stop(signal);
      await writer.stop();
    },
    forget: () => writer.end(),
  };
}

async function count(writer: ForkedBusyWriter, figures: Figures, number: number): Promise<void> {
  const { operations, failures, longestWriteMs } = await writer.report();
  figures.count('writer', 'requests', operations);
  figures.time('slowest write of a life', longestWriteMs);
  for (const failure of failures) figures.find(`a writer of life ${number} saw an error: ${failure}`);
}

async function dropOld({ client }: LifeServer, all: Expectation, kept: Expectation): Promise<void> {
  const names = new Set(kept.collections.map(({ name }) => name));
  for (const { name } of all.collections) if (!names.has(name)) await client.deleteCollection({ name });
}

/** Workers of two lives are different workers, each with an order of its own. */
function apart({ collections, records }: Expectation, offset: number): Expectation {
  return {
    collections,
    records: new Map(
      [...records].map(([collection, expected]) => [
        collection,
        new Map(
          [...expected].map(([id, { worker, states }]) => [id, { worker: worker + offset, states }] as const),
        ),
      ]),
    ),
  };
}
