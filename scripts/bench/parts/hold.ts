import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { forkBusyWriter } from '../../../test/support/busy-writer-process.ts';
import { startChromaServer } from '../../../test/support/chroma-server.ts';
import { runMeasured } from '../measure/run-measured.ts';
import type { Bench, Hold, Part } from '../part.ts';
import { bytesOf, copyStore } from '../stores/copy-store.ts';
import { writeSmallFiles } from '../stores/small-files.ts';
import { forced } from '../tools/sync-agent.ts';
import type { Place } from '../tools/tool.ts';

export const extraFileCounts = [0, 1_000, 20_000] as const;

const secondsWithoutBackup = 20;

/** Backs a Chroma store up while its server is written to without a pause, in part next to the benchmark's records. */
export const hold: Part = {
  name: 'hold',
  run: async (bench) => {
    const holds: Hold[] = [];
    for (const extraFiles of extraFileCounts) holds.push(await measureHold(bench, extraFiles));
    return {
      part: 'hold',
      title: 'How long writers are held back',
      about:
        `${bench.sizes.hotBackups} backups of a running server's directory, while four writers write without a pause. Other files, ` +
        'which nobody writes, lie beside the database. Readers are never held back. A slow request also waits for the ' +
        `processors, which the backup and the S3 server use as well; the last column is of ${secondsWithoutBackup} s without a backup.`,
      samples: [],
      holds,
    };
  },
};

async function measureHold(bench: Bench, extraFiles: number): Promise<Hold> {
  const { agent, s3, sizes, say } = bench;
  const { base } = await bench.chromaStores('growing');
  const home = join(bench.work, `hold-${extraFiles}`);
  const store = join(home, 'store');
  const bucket = `bench-hold-${extraFiles}`;
  const place: Place = { home, store, target: { type: 's3', endpoint: s3.endpoint, bucket, env: s3.env } };
  await copyStore(base, store);
  writeSmallFiles(join(store, 'extra'), extraFiles, 200);
  await s3.makeBucket(bucket);
  // The other files are uploaded once; later backups find them unchanged.
  await runMeasured(agent.backup(place), join(home, 'time'));
  const server = await startChromaServer({ path: store });
  try {
    const writer = await forkBusyWriter({ port: server.port });
    await sleep(2000);
    const start = await writer.checkpoint();
    await sleep(secondsWithoutBackup * 1000);
    const without = await writer.report(start);
    const backups: { readonly holdMs: number; readonly writeMs: number; readonly wallMs: number }[] = [];
    for (let copy = 1; copy <= sizes.hotBackups; copy += 1) {
      const from = await writer.checkpoint();
      const { stdout, wallMs } = await runMeasured(forced(agent.backup(place)), join(home, 'time'));
      const { longestWriteMs: writeMs } = await writer.report(from);
      const { longestHoldMs: holdMs } = JSON.parse(stdout) as { readonly longestHoldMs: number };
      backups.push({ holdMs, writeMs, wallMs });
      say(
        `  hot backup ${copy} beside ${extraFiles} files: held ${holdMs.toFixed(0)} ms, slowest write ${writeMs} ms, ` +
          `${(wallMs / 1000).toFixed(1)} s`,
      );
    }
    const { operations, failures } = await writer.stop();
    return {
      extraFiles,
      storeBytes: await bytesOf(store),
      holdsMs: backups.map(({ holdMs }) => holdMs),
      slowestWritesMs: backups.map(({ writeMs }) => writeMs),
      backupsMs: backups.map(({ wallMs }) => wallMs),
      slowestWriteWithoutBackupMs: without.longestWriteMs,
      writes: operations,
      failedWrites: failures.length,
    };
  } finally {
    await server.stop();
    await s3.empty(bucket);
    await rm(home, { recursive: true, force: true });
  }
}
