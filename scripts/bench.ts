/**
 * `npm run bench`: sync-agent beside rclone, the AWS command line and restic, as far as they are installed, on one
 * Chroma store and one S3 server. Works on a temporary directory; stores are kept in .cache/bench.
 *
 *     --records N     records of the Chroma store, default 60,000 of 384 dimensions, some 400 MB
 *     --rounds N      timed rounds, of which the medians count, default 5
 *     --large-mb N    size of the SQLite store that memory is measured with, default 2048; 0 leaves it out
 *     --hot N         backups of the store while it is written, default 8; 0 leaves them out
 *     --write         writes docs/benchmarks.md
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runRound } from './bench/compare.ts';
import type { Sample } from './bench/compare.ts';
import { measureHold } from './bench/hold.ts';
import { measureMemory } from './bench/memory.ts';
import { renderReport } from './bench/report.ts';
import { startS3 } from './bench/s3.ts';
import { bytesOf, makeChromaStores } from './bench/stores.ts';
import { findTools } from './bench/tools.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '60000' },
    rounds: { type: 'string', default: '5' },
    'large-mb': { type: 'string', default: '2048' },
    hot: { type: 'string', default: '8' },
    write: { type: 'boolean', default: false },
  },
});
const records = Number(values.records);
const started = performance.now();
const say = (line: string): void => {
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}\n`);
};

process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
const stores = await makeChromaStores(records, say);
const work = mkdtempSync(join(tmpdir(), 'sync-agent-bench-'));
const s3 = await startS3(join(work, 's3'));
try {
  const { tools, missing } = findTools(work);
  for (const name of missing) say(`WITHOUT ${name}: it is not installed`);
  const samples: Sample[] = [];
  const loads: number[] = [];
  const common = { tools, stores, s3, work, say };
  for (let round = 1; round <= Number(values.rounds); round += 1) {
    loads.push(loadavg()[0] ?? NaN);
    samples.push(...(await runRound({ ...common, round, isCounted: false })));
  }
  samples.push(...(await runRound({ ...common, round: 0, isCounted: true })));
  const [agent] = tools;
  if (agent === undefined) throw new Error('unreachable');
  const largeBytes = Number(values['large-mb']) * 1024 * 1024;
  const memory =
    largeBytes === 0 ? undefined : await measureMemory({ agent, s3, work, say, bytes: largeBytes });
  const copies = Number(values.hot);
  const hold = copies === 0 ? undefined : await measureHold({ agent, s3, work, say, stores, copies });
  const text = renderReport({
    tools,
    missing,
    s3: s3.description,
    records,
    dimension: stores.dimension,
    storeBytes: await bytesOf(stores.base),
    rounds: Number(values.rounds),
    samples,
    loads,
    memory,
    hold,
  });
  process.stdout.write(text);
  if (values.write) writeFileSync(fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url)), text);
} finally {
  await s3.stop();
  rmSync(work, { recursive: true, force: true });
}
say('done');
