import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { forkBusyWriter } from '../../test/support/busy-writer-process.ts';
import { startChromaServer } from '../../test/support/chroma-server.ts';
import { runMeasured } from './run-measured.ts';
import type { BenchS3 } from './s3.ts';
import { bytesOf, copyStore } from './stores.ts';
import type { ChromaStores } from './stores.ts';
import { forced } from './tools.ts';
import type { Place, Tool } from './tools.ts';

export interface HoldResult {
  readonly storeBytes: number;
  readonly backups: readonly {
    readonly longestHoldMs: number;
    readonly wallMs: number;
    readonly slowestWriteMs: number;
  }[];
  /** The same writer, nobody backing up. */
  readonly quiet: {
    readonly slowestWriteMs: number;
    readonly medianWriteMs: number;
    readonly seconds: number;
  };
  readonly writes: number;
  readonly failedWrites: number;
}

const quietSeconds = 20;

/** Backs a Chroma store up while its server is written to without a pause, in part next to the benchmark's records. */
export async function measureHold(options: {
  readonly agent: Tool;
  readonly s3: BenchS3;
  readonly work: string;
  readonly stores: ChromaStores;
  readonly copies: number;
  readonly say: (line: string) => void;
}): Promise<HoldResult> {
  const { agent, s3, stores, copies, say } = options;
  const home = join(options.work, 'hold');
  const store = join(home, 'store');
  const place: Place = { home, store, endpoint: s3.endpoint, bucket: 'bench-hold', env: s3.env };
  await mkdir(home);
  await copyStore(stores.base, store);
  await s3.makeBucket(place.bucket);
  const server = await startChromaServer({ path: store });
  try {
    const writer = await forkBusyWriter({ port: server.port });
    await sleep(2000);
    const start = await writer.checkpoint();
    await sleep(quietSeconds * 1000);
    const quiet = await writer.report(start);
    const backups: HoldResult['backups'][number][] = [];
    for (let copy = 1; copy <= copies; copy += 1) {
      const from = await writer.checkpoint();
      const { stdout, wallMs } = await runMeasured(forced(agent.backup(place)), join(home, 'time'));
      const { longestWriteMs } = await writer.report(from);
      const { longestHoldMs } = JSON.parse(stdout) as { readonly longestHoldMs: number };
      backups.push({ longestHoldMs, wallMs, slowestWriteMs: longestWriteMs });
      say(
        `  hot backup ${copy}: held ${longestHoldMs.toFixed(0)} ms, slowest write ${longestWriteMs} ms, ` +
          `${(wallMs / 1000).toFixed(1)} s`,
      );
    }
    const { operations, failures } = await writer.stop();
    return {
      storeBytes: await bytesOf(store),
      backups,
      quiet: {
        slowestWriteMs: quiet.longestWriteMs,
        medianWriteMs: quiet.medianWriteMs,
        seconds: quietSeconds,
      },
      writes: operations,
      failedWrites: failures.length,
    };
  } finally {
    await server.stop();
    await s3.empty(place.bucket);
    await rm(home, { recursive: true, force: true });
  }
}
