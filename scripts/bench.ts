/**
 * `npm run bench`: sync-agent beside rclone, the AWS command line and restic, as far as they are installed, on one S3
 * server. Works in a temporary directory; stores are kept in .cache/bench.
 *
 *     --only PARTS    some of cold, changed, copied, shaped, files, memory, hold, continuous; default all
 *     --rounds N      timed rounds, of which the medians count, default 5
 *     --records N     records of the Chroma stores, default 60,000 of 384 dimensions, some 380 MB
 *     --files N       small files, default 100,000
 *     --large-mb N    size of the SQLite store that memory is measured with, default 2048
 *     --hot N         backups of each store while it is written, default 8
 *     --write         writes docs/benchmarks.md, if the run was complete and the machine quiet
 *
 * To try the benchmark itself: --rounds 1 --records 1500 --files 1500 --large-mb 100 --hot 1
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Part, PartResult } from './bench/part.ts';
import { changed } from './bench/parts/changed.ts';
import { cold } from './bench/parts/cold.ts';
import { continuous } from './bench/parts/continuous.ts';
import { copied } from './bench/parts/copied.ts';
import { files } from './bench/parts/files.ts';
import { hold } from './bench/parts/hold.ts';
import { memory } from './bench/parts/memory.ts';
import { shaped } from './bench/parts/shaped.ts';
import { measureNodeStart } from './bench/measure/node-start.ts';
import { judgeQuiet } from './bench/report/quiet.ts';
import { renderReport } from './bench/report/report.ts';
import { startS3 } from './bench/s3.ts';
import { makeChromaStores } from './bench/stores/chroma-stores.ts';
import { findTools } from './bench/tools/find-tools.ts';

const allParts: readonly Part[] = [cold, changed, copied, shaped, files, memory, hold, continuous];
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: allParts.map(({ name }) => name).join(',') },
    rounds: { type: 'string', default: '5' },
    records: { type: 'string', default: '60000' },
    files: { type: 'string', default: '100000' },
    'large-mb': { type: 'string', default: '2048' },
    hot: { type: 'string', default: '8' },
    write: { type: 'boolean', default: false },
  },
});
const chosen = values.only.split(',').map((name) => {
  const part = allParts.find((each) => each.name === name);
  if (part === undefined) throw new Error(`--only: there is no part "${name}"`);
  return part;
});
if (values.write && chosen.length < allParts.length) throw new Error('--write needs all parts');
const sizes = {
  rounds: count('rounds'),
  records: count('records'),
  smallFiles: count('files'),
  largeBytes: count('large-mb') * 1024 * 1024,
  hotBackups: count('hot'),
};

const started = performance.now();
const say = (line: string): void => {
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}\n`);
};

process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
const work = mkdtempSync(join(tmpdir(), 'sync-agent-bench-'));
const s3 = await startS3(join(work, 's3'));
let cleaned: Promise<void> | undefined;
const cleanUp = (): Promise<void> =>
  (cleaned ??= s3.stop().then(() => rmSync(work, { recursive: true, force: true })));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // More than once: npm passes on what the process group has got already.
  process.on(signal, () => void cleanUp().finally(() => process.exit(1)));
}
try {
  const { agent, tools, missing } = findTools(work);
  for (const name of missing) say(`WITHOUT ${name}: it is not installed`);
  const nodeStartMs = measureNodeStart();
  const parts: PartResult[] = [];
  for (const part of chosen) {
    say(part.name);
    parts.push(
      await part.run({
        agent,
        tools,
        s3,
        work,
        sizes,
        say,
        chromaStores: (metadata) => makeChromaStores(metadata, sizes.records, say),
      }),
    );
  }
  const text = renderReport({ tools, missing, s3: s3.description, nodeStartMs, sizes, parts });
  process.stdout.write(text);
  const { isQuiet } = judgeQuiet(parts);
  if (values.write && isQuiet) {
    writeFileSync(fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url)), text);
  }
  if (values.write && !isQuiet) {
    say('docs/benchmarks.md is left as it is: other programs used the processors');
    process.exitCode = 1;
  }
} finally {
  await cleanUp();
}
say('done');

function count(name: 'rounds' | 'records' | 'files' | 'large-mb' | 'hot'): number {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} "${values[name]}" is no count`);
  return number;
}
