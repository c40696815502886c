import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startChromaServer } from '../../../test/support/chroma-server.ts';
import { Watching } from '../continuous/watching.ts';
import { percentile, writeSteadily } from '../continuous/steady-writer.ts';
import type { Written } from '../continuous/steady-writer.ts';
import { runMeasured } from '../measure/run-measured.ts';
import type { Bench, Fact, Part } from '../part.ts';
import { chromaSpec } from '../stores/chroma-stores.ts';
import { copyStore } from '../stores/copy-store.ts';
import type { Place } from '../tools/tool.ts';

const perSecond = 500;
const seconds = 20;
const turns = 2;

/** What saving each write costs, and how late it is. */
export const continuous: Part = {
  name: 'continuous',
  run: async (bench) => ({
    part: 'continuous',
    title: 'Each write saved: --continuous',
    about:
      `One client adds ${perSecond} records of ${chromaSpec.dimension} dimensions with a text each second, 25 a request, to a real server; the agent saves what was written every 2 s (\`watch --continuous\`), ` +
      `in turn with no agent at all, ${turns} times ${seconds} s each, in the order without, with, with, without. A write is saved when its segment is in the S3 server, on the same two cores. ` +
      'CPU is that of the agent with all its processes, of one core.',
    samples: [],
    holds: [],
    facts: [
      ...(await measureWriting(bench)),
      ...(await measureGrowth(bench)),
      ...(await measureRestores(bench)),
    ],
  }),
};

function placeOf({ work, s3 }: Bench, name: string): Place {
  const home = join(work, name);
  const target = { type: 's3', endpoint: s3.endpoint, bucket: `bench-${name}`, env: s3.env } as const;
  return { home, store: join(home, 'store'), target };
}

function watch({ agent }: Bench, place: Place): Watching {
  const { program, args, env } = agent.backup(place);
  const flags = args.map((arg) => (arg === 'backup' ? 'watch' : arg)).filter((arg) => arg !== '--json');
  const more = ['--continuous', '--http', 'off', '--log-format', 'json', '--verbose'];
  return new Watching({ program, args: [...flags, ...more], env });
}

async function measureWriting(bench: Bench): Promise<readonly Fact[]> {
  const place = placeOf(bench, 'continuous');
  await mkdir(place.home, { recursive: true });
  await bench.s3.makeBucket('bench-continuous');
  const server = await startChromaServer({ path: place.store });
  const without: Written[] = [];
  const withAgent: Written[] = [];
  const lagsMs: number[] = [];
  const busyShares: number[] = [];
  let idleShare = NaN;
  let stopMs = NaN;
  let segments = 0;
  let gaps = 0;
  try {
    const collection = await server.client.createCollection({
      name: chromaSpec.name,
      configuration: { hnsw: { space: chromaSpec.space } },
      embeddingFunction: null,
    });
    let from = 0;
    const write = async (): Promise<Written> => {
      const written = await writeSteadily(collection, { from, perSecond, seconds });
      from += perSecond * seconds;
      return written;
    };
    for (let turn = 0; turn < turns; turn += 1) {
      // The store grows, and the server becomes slower with it: each has every place in the order once.
      const isFirst = turn % 2 === 0;
      if (isFirst) without.push(await write());
      const watching = watch(bench, place);
      await watching.following;
      await sleep(3000);
      const before = watching.shipped.at(-1)?.upTo ?? from;
      const idleFrom = watching.cpuMs();
      await sleep(10_000);
      idleShare = (watching.cpuMs() - idleFrom) / 10_000;
      const busyFrom = watching.cpuMs();
      const startedMs = performance.now();
      const written = await write();
      busyShares.push((watching.cpuMs() - busyFrom) / (performance.now() - startedMs));
      await sleep(4000);
      withAgent.push(written);
      for (const { atMs, count } of written.acknowledged) {
        const saved = watching.shipped.find(({ upTo }) => upTo >= before + count);
        lagsMs.push(saved === undefined ? Infinity : saved.atMs - atMs);
      }
      segments += watching.shipped.length;
      gaps += watching.broken.filter((why) => why.includes('purged')).length;
      stopMs = await watching.stop();
      if (!isFirst) without.push(await write());
      bench.say(
        `  turn ${turn + 1}: worst ${Math.max(...lagsMs).toFixed(0)} ms, CPU ${(100 * (busyShares.at(-1) ?? NaN)).toFixed(1)} %`,
      );
    }
  } finally {
    await server.stop();
    await bench.s3.empty('bench-continuous');
    await rm(place.home, { recursive: true, force: true });
  }
  const [bare, watched] = [without, withAgent].map((turnsOf) =>
    turnsOf.flatMap((each) => each.latenciesMs),
  ) as [number[], number[]];
  const failures = [...without, ...withAgent].reduce((sum, each) => sum + each.failures, 0);
  return [
    ['from acknowledged to saved, median', ms(percentile(lagsMs, 0.5))],
    ['from acknowledged to saved, worst', ms(Math.max(...lagsMs))],
    [
      'a request of the writer, median, without and with',
      `${ms(percentile(bare, 0.5))}, ${ms(percentile(watched, 0.5))}`,
    ],
    [
      'a request of the writer, 99 of 100, without and with',
      `${ms(percentile(bare, 0.99))}, ${ms(percentile(watched, 0.99))}`,
    ],
    ['failed requests', String(failures)],
    ['segments, gaps', `${segments}, ${gaps}`],
    ['CPU while nothing is written', share(idleShare)],
    [`CPU at ${perSecond} records/s`, busyShares.map(share).join(', ')],
    ['a clean stop', ms(stopMs)],
  ];
}

/** What 1 % more records cost. */
async function measureGrowth(bench: Bench): Promise<readonly Fact[]> {
  const { base } = await bench.chromaStores('random');
  const place = placeOf(bench, 'continuous-growth');
  await copyStore(base, place.store);
  await bench.s3.makeBucket('bench-continuous-growth');
  await runMeasured(bench.agent.backup(place), join(place.home, 'time'));
  const server = await startChromaServer({ path: place.store });
  try {
    const watching = watch(bench, place);
    await watching.following;
    const collection = await server.client.getCollection({ name: chromaSpec.name });
    const more = Math.ceil(bench.sizes.records / 100);
    await writeSteadily(collection, { from: 0, perSecond: 100, seconds: more / 100 });
    await sleep(4000);
    const bytes = watching.shipped.reduce((sum, each) => sum + each.bytes, 0);
    const operations = watching.shipped.reduce((sum, each) => sum + each.operations, 0);
    await watching.stop();
    return [
      [
        `1 % more records (${operations}), 100/s`,
        `${(bytes / 1e6).toFixed(2)} MB in ${watching.shipped.length} requests`,
      ],
    ];
  } finally {
    await server.stop();
    await bench.s3.empty('bench-continuous-growth');
    await rm(place.home, { recursive: true, force: true });
  }
}

/** How long a restore takes with a long log, and the first access of the server, which applies it. */
async function measureRestores(bench: Bench): Promise<readonly Fact[]> {
  const facts: Fact[] = [];
  for (const rows of [10_000, 100_000]) {
    const place = placeOf(bench, `continuous-log-${rows}`);
    await mkdir(place.home, { recursive: true });
    const bucket = `bench-continuous-log-${rows}`;
    await bench.s3.makeBucket(bucket);
    let server = await startChromaServer({ path: place.store });
    const collection = await server.client.createCollection({
      name: chromaSpec.name,
      embeddingFunction: null,
    });
    await collection.add({ ids: ['first'], embeddings: [vectorOfLength(64)] });
    const watching = watch(bench, place);
    await watching.following;
    for (let from = 0; from < rows; from += 500) {
      const ids = Array.from({ length: 500 }, (_, index) => `row-${from + index}`);
      await collection.add({ ids, embeddings: ids.map(() => vectorOfLength(64)), documents: ids });
    }
    await watching.stop();
    await server.stop();
    await rm(place.store, { recursive: true });
    for (const path of bench.agent.localState(place)) await rm(path, { recursive: true, force: true });
    const { wallMs, stdout } = await runMeasured(bench.agent.restore(place), join(place.home, 'time'));
    const { log } = JSON.parse(stdout) as {
      readonly log?: { readonly operations: number; readonly segments: number };
    };
    server = await startChromaServer({ path: place.store });
    const startedMs = performance.now();
    const restored = await server.client.getCollection({ name: chromaSpec.name });
    await restored.query({ queryEmbeddings: [vectorOfLength(64)], nResults: 1 });
    const firstMs = performance.now() - startedMs;
    const count = await restored.count();
    if (count !== rows + 1) throw new Error(`${count} records after a restore, not ${rows + 1}`);
    facts.push([
      `restore with ${log?.operations ?? 0} writes in ${log?.segments ?? 0} segments, then the first query`,
      `${ms(wallMs)}, ${ms(firstMs)}`,
    ]);
    await server.stop();
    await bench.s3.empty(bucket);
    await rm(place.home, { recursive: true, force: true });
  }
  return facts;
}

const vectorOfLength = (dimension: number): number[] =>
  Array.from({ length: dimension }, () => Math.random());
const ms = (value: number): string =>
  value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
const share = (value: number): string => `${(100 * value).toFixed(1)} %`;
