/**
 * `npm run soak:log`: writers use real Chroma servers under the built `run --continuous`, which saves to a real S3 server through a proxy that
 * resets, stalls and cuts connections. Round after round the machine is lost, the store is handed over, or its host falls asleep; it is restored,
 * opened by a new server, and compared with all that was acknowledged. Prints a line for each round, and exits with 1 on any finding.
 *
 *     --minutes 10       how long
 *     --seed N           what chance decides; processes still interleave as they like
 *     --rate 550         records a second, of all writers
 *     --remote s3        or `directory`: then the network has no faults
 *     --json FILE        the figures, too
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import { chances } from '../test/support/fault-proxy.ts';
import { startS3 } from './bench/s3.ts';
import { openWire } from './soak-log/faulty-wire.ts';
import { Figures } from './soak-log/figures.ts';
import { Host } from './soak-log/host.ts';
import { Rounds } from './soak-log/rounds.ts';
import type { Ending } from './soak-log/rounds.ts';
import { Slot } from './soak-log/slot.ts';
import type { SlotSpec } from './soak-log/slot.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rate: { type: 'string', default: '550' },
    remote: { type: 'string', default: 's3' },
    json: { type: 'string' },
  },
});
const [minutes, seed, rate] = [Number(values.minutes), Number(values.seed), Number(values.rate)];
if (
  !(minutes > 0) ||
  !Number.isSafeInteger(seed) ||
  !(rate >= 10) ||
  !['s3', 'directory'].includes(values.remote)
)
  throw new Error(`Cannot understand ${JSON.stringify(values)}`);

process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const started = performance.now();
const random = chances(`soak of the log ${seed}`);
const pick = <T>(...choices: readonly [T, ...T[]]): T =>
  choices[Math.floor(random() * choices.length)] ?? choices[0];
const figures = new Figures();
const work = await mkdtemp(join(tmpdir(), 'sync-agent-soak-log-'));
const s3 = values.remote === 's3' ? await startS3(join(work, 's3')) : undefined;
await s3?.makeBucket('soak');
say(`seed ${seed}, ${minutes} minutes, ${rate} records/s, ${s3?.description ?? 'a directory'}`);
const wire = await openWire(s3?.endpoint ?? 'http://127.0.0.1:9');
const endsAt = { ms: started + minutes * 60_000 };
process.once('SIGINT', () => (endsAt.ms = 0)).once('SIGTERM', () => (endsAt.ms = 0));

const thresholds = () => pick(undefined, undefined, 1000, 100, 30);
/** 1 : 50 : 500 records a second, as far as the machine goes, and one that changes its collection most of the time. */
const specs = (): readonly SlotSpec[] => [
  { name: 'one-by-one', rate: 1, batch: 1, working: 20, changes: 0.05, syncThreshold: thresholds() },
  {
    name: 'steady',
    rate: rate / 11,
    batch: pick(5, 10),
    working: 300,
    changes: 0.02,
    syncThreshold: thresholds(),
  },
  {
    name: 'bulk',
    rate: (rate * 10) / 11,
    batch: pick(20, 100),
    working: 1500,
    changes: 0.005,
    syncThreshold: pick(undefined, undefined, 1000, 100),
  },
  { name: 'churn', rate: 4, batch: 2, working: 10, changes: 0.5, syncThreshold: thresholds() },
];

try {
  for (let era = 1; performance.now() < endsAt.ms; era += 1) {
    const dir = join(work, `era-${era}`);
    await mkdir(dir);
    const isLeased = random() < 0.35;
    const remote = s3 === undefined ? pathToFileURL(join(dir, 'remote')).href : `s3://soak/era ${era}`;
    const hosts = ['host-a', 'host-b'].map(
      (name) =>
        new Host({
          name,
          disk: join(dir, name),
          wire,
          remote,
          env: s3?.env ?? {},
          policy: ['--keep', '4', '--grace', '60s', '--rollback-copies', '1', '--max-shrink', '100%'],
        }),
    );
    const slots = specs().map((spec) => new Slot(spec, random));
    const intervalMs = pick(300, 500, 2000);
    const isFaulty = s3 !== undefined && random() < 0.5;
    const rounds = new Rounds({
      slots,
      hosts,
      wire,
      intervalMs,
      isLeased,
      isFaulty,
      scratch: dir,
      random,
      figures,
    });
    const thresholdsOf = slots.map(({ spec }) => spec.syncThreshold ?? 'default').join('/');
    say(
      `era ${era}: ${isLeased ? 'leases' : 'no leases'}, ${isFaulty ? 'faults' : 'no faults'}, sync_threshold ${thresholdsOf}`,
    );
    const before = figures.findings.length;
    try {
      await rounds.begin();
      for (
        let round = 0;
        round < 5 && performance.now() < endsAt.ms && figures.findings.length === before;
        round += 1
      ) {
        const ending: Ending =
          isLeased && random() < 0.5
            ? 'slept'
            : pick('lost', 'lost', 'lost', 'kept', 'handed over', 'handed over');
        const line = await rounds.play(ending);
        say(`${((performance.now() - started) / 1000).toFixed(0).padStart(5)} s  ${line}`);
      }
    } catch (error) {
      figures.findings.push(`era ${era} broke off: ${error instanceof Error ? error.stack : String(error)}`);
    }
    await rounds.finish();
    for (const finding of figures.findings.slice(before)) say(`FINDING: ${finding}`);
    if (figures.findings.length === before) await rm(dir, { recursive: true, force: true, maxRetries: 20 });
  }
} finally {
  await wire.close();
  await s3?.stop();
}
const report = { seed, minutes, server: s3?.description ?? 'directory', ...figures.toJSON() };
say(JSON.stringify(report, null, 2));
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
if (figures.findings.length === 0) await rm(work, { recursive: true, force: true, maxRetries: 20 });
else say(`FAILED with seed ${seed}: ${figures.findings.length} findings; the disks are kept in ${work}`);
process.exit(figures.findings.length === 0 ? 0 : 1);
