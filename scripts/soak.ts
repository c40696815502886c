/**
 * `npm run soak`: a busy Chroma server on a real S3 server, behind a network that fails, is backed up every few seconds
 * by the built command line, which is killed at random; again and again the disk is lost or another host takes over.
 * Every restored copy is opened by a server of its own and compared with what was acknowledged to the writers.
 * Prints a report, and exits with 1 on any finding.
 *
 *     --duration 10m    how long, default 10m
 *     --seed N          what chance decides; processes still interleave as they like
 *     --json FILE       the report as JSON, too
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import { parseDuration } from '../src/settings/units.ts';
import { systemClock } from '../src/platform/clock.ts';
import { openRemote } from '../src/remotes/open-remote.ts';
import { nodeFileSystem } from '../src/platform/file-system.ts';
import { chances } from '../test/support/fault-proxy.ts';
import { startS3 } from './bench/s3.ts';
import { backUp, keepBackingUp } from './soak/backups.ts';
import type { Hosts } from './soak/backups.ts';
import { openChannel } from './soak/channel.ts';
import { Figures } from './soak/figures.ts';
import { Ledger } from './soak/ledger.ts';
import { keepRestoring, restoreBeside, verify } from './soak/restores.ts';
import type { Machine, World } from './soak/world.ts';

const { values } = parseArgs({
  options: {
    duration: { type: 'string', default: '10m' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'string' },
  },
});
const durationMs = parseDuration(values.duration);
const seed = Number(values.seed);
if (durationMs === undefined || !Number.isSafeInteger(seed)) {
  throw new Error(`Cannot understand --duration "${values.duration}" or --seed "${values.seed}"`);
}
/** Small, so that rotation has work within minutes. */
const [keep, graceMs] = [5, 90_000];

process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
const figures = new Figures();
const work = await mkdtemp(join(tmpdir(), 'sync-agent-soak-'));
const s3 = await startS3(join(work, 's3'));
const say = (line: string): void => void process.stdout.write(`${line}\n`);
say(`seed ${seed}, ${values.duration}, ${s3.description}`);

await s3.makeBucket('soak');
const remote = 's3://soak/a prefix';
const random = chances(`soak ${seed}`);
const machine = async (name: string): Promise<Machine> => {
  const disk = join(work, name);
  await mkdir(disk);
  return { name, disk, channel: await openChannel({ upstream: s3.endpoint, name, seed, figures }) };
};
const [active, spare, reader] = [await machine('host-a'), await machine('host-b'), await machine('reader')];
const direct = await openRemote(remote, {
  s3: {
    endpoint: s3.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: s3.env['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: s3.env['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  },
  clock: systemClock,
  emit: () => undefined,
  fs: nodeFileSystem,
});
const ledger = new Ledger({ remote: direct.remote, figures, keep, graceMs });
const stop = { at: performance.now() + durationMs };
process.once('SIGINT', () => (stop.at = 0)).once('SIGTERM', () => (stop.at = 0));
const world: World = {
  figures,
  env: s3.env,
  random,
  remote,
  ledger,
  policy: ['--keep', String(keep), '--grace', `${graceMs / 1000}s`, '--rollback-copies', '1'],
  scratch: reader.disk,
  get endsAt() {
    return stop.at;
  },
};
const hosts: Hosts = { active, spare, spareTurn: pLimit(1) };
const progress = setInterval(() => {
  const { live } = ledger;
  say(
    `${figures.seconds.toFixed(0).padStart(5)} s  ${live.length} snapshots, ${figures.findings.length} findings`,
  );
  void s3.collect().catch(() => undefined);
}, 30_000);

try {
  const [life] = await Promise.all([keepBackingUp(world, hosts, seed), keepRestoring(world, hosts, reader)]);
  // Once more without faults: everything that is listed can be had.
  // It may be the first of its life.
  await backUp(world, hosts.active, life, { isFirst: true, isCalm: true });
  await verify(world, reader, true, true);
  for (const id of ledger.live.slice(-8)) await restoreBeside(world, reader, id, { isCalm: true });
  await life.die();
} catch (error) {
  figures.find(
    `the run broke off: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
} finally {
  clearInterval(progress);
  for (const { channel } of [active, spare, reader]) await channel.close();
  await direct.remote.close();
  await s3.stop();
}
say(figures.report());
if (values.json !== undefined) {
  await writeFile(
    values.json,
    `${JSON.stringify({ seed, server: s3.description, ...figures.toJSON() }, null, 2)}\n`,
  );
}
if (figures.findings.length === 0) await rm(work, { recursive: true, force: true });
else say(`The hosts' disks are kept in ${work}`);
process.exit(figures.findings.length === 0 ? 0 : 1);
