/**
 * `npm run soak:agent`: the built agent beside a busy Chroma server, on a real S3 server behind a network that fails, at
 * a fast interval, lives through outages, kills, signals, rivals and lost disks. Its log, its pages, its process and restored
 * copies are held against what it promises. Prints a report, and exits with 1 on any finding. Linux only.
 *
 *     --duration 10m    how long, default 10m; for nearly half of it one agent stays alive, so that its memory can be judged
 *     --seed N          what chance decides; processes still interleave as they like
 *     --interval 6s     the agent's, default 6s
 *     --json FILE       the report as JSON, too
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../src/platform/clock.ts';
import { parseDuration } from '../src/settings/units.ts';
import { openRemote } from '../src/remotes/open-remote.ts';
import { nodeFileSystem } from '../src/platform/file-system.ts';
import { buildCli } from '../test/support/built-cli.ts';
import { chances } from '../test/support/fault-proxy.ts';
import { startS3 } from './bench/s3.ts';
import { audit } from './soak-agent/audit.ts';
import { checkFinal, recovered } from './soak-agent/calm.ts';
import { keepRestoring } from './soak-agent/copies.ts';
import { deadly, harmless } from './soak-agent/phases.ts';
import type { Phase } from './soak-agent/phases.ts';
import { keepProbing } from './soak-agent/probe.ts';
import { agentOf, beginEra, command, endWatched, eraOf, startWatched } from './soak-agent/stage.ts';
import type { Stage } from './soak-agent/stage.ts';
import { openChannel } from './soak/channel.ts';
import { Figures } from './soak/figures.ts';

const { values } = parseArgs({
  options: {
    duration: { type: 'string', default: '10m' },
    interval: { type: 'string', default: '6s' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'string' },
  },
});
const [durationMs, intervalMs] = [parseDuration(values.duration), parseDuration(values.interval)];
const seed = Number(values.seed);
if (durationMs === undefined || intervalMs === undefined || !Number.isSafeInteger(seed)) {
  throw new Error(`Cannot understand --duration, --interval or --seed: ${JSON.stringify(values)}`);
}
/** Of the duration: with phases that no agent ends in. */
const harmlessShare = 0.45;

process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
buildCli();
const figures = new Figures();
const work = await mkdtemp(join(tmpdir(), 'sync-agent-soak-'));
const s3 = await startS3(join(work, 's3'));
const say = (line: string): void =>
  void process.stdout.write(`${figures.seconds.toFixed(0).padStart(5)} s  ${line}\n`);
say(`seed ${seed}, ${values.duration}, interval ${values.interval}, ${s3.description}`);

await s3.makeBucket('soak');
const remote = 's3://soak/a prefix';
const credentials = {
  accessKeyId: s3.env['AWS_ACCESS_KEY_ID'] ?? '',
  secretAccessKey: s3.env['AWS_SECRET_ACCESS_KEY'] ?? '',
};
const direct = await openRemote(remote, {
  s3: { endpoint: s3.endpoint, region: 'us-east-1', forcePathStyle: true, credentials },
  clock: systemClock,
  emit: () => undefined,
  fs: nodeFileSystem,
});
const stage: Stage = {
  figures,
  seed,
  intervalMs,
  remote,
  say,
  isCrowded: false,
  random: chances(`agent ${seed}`),
  disk: join(work, 'disk'),
  scratch: join(work, 'scratch'),
  channel: await openChannel({ upstream: s3.endpoint, name: 'agent', seed, figures }),
  endpoint: s3.endpoint,
  direct: direct.remote,
  env: s3.env,
  troubles: [],
  agents: [],
  eras: [],
  byHand: new Map(),
  seen: new Set(),
};
const stop = { at: performance.now() + durationMs, isAsked: false };
process.once('SIGINT', () => (stop.at = 0)).once('SIGTERM', () => (stop.at = 0));
let memory: ReturnType<typeof audit> = [];
const isOver = (): boolean => stop.isAsked;
const collecting = setInterval(() => void s3.collect().catch(() => undefined), 30_000);

try {
  await mkdir(stage.scratch);
  await mkdir(stage.disk);
  await beginEra(stage);
  await startWatched(stage);
  await recovered(stage, 'the start');
  const around = [keepProbing(stage, isOver), keepRestoring(stage, isOver)];
  const harmlessUntil = performance.now() + harmlessShare * durationMs;
  await play(harmless, Math.min(harmlessUntil, stop.at));
  await play(
    { ...deadly, quiet: harmless['quiet'] ?? deadly['SIGTERM']!, faults: harmless['faults']! },
    stop.at,
  );
  stop.isAsked = true;
  await Promise.all(around);
  await finish();
} catch (error) {
  figures.find(
    `the run broke off: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
} finally {
  stop.isAsked = true;
  clearInterval(collecting);
  for (const { agent } of stage.agents) agent.child.kill('SIGKILL');
  memory = audit(stage);
  await eraOf(stage)
    .life.die()
    .catch(() => undefined);
  for (const era of stage.eras) {
    era.isForgotten = true;
    await era.life.forget().catch(() => undefined);
  }
  await stage.channel.close();
  await direct.remote.close();
  await s3.stop();
}
process.stdout.write(`${figures.report()}\n`);
if (values.json !== undefined) {
  const report = { seed, interval: values.interval, server: s3.description, ...figures.toJSON(), memory };
  await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
}
if (figures.findings.length === 0) await rm(work, { recursive: true, force: true });
else {
  for (const [index, { pid, agent }] of stage.agents.entries())
    await writeFile(
      join(work, `agent-${index}-${pid}.log`),
      agent.log.map((line) => JSON.stringify(line)).join('\n'),
    );
  process.stdout.write(`The agents' logs and disks are kept in ${work}\n`);
}
process.exit(figures.findings.length === 0 ? 0 : 1);

/** Each phase once before any comes again, in an order that the seed decides. */
async function play(phases: Readonly<Record<string, Phase>>, until: number): Promise<void> {
  let deck: [string, Phase][] = [];
  let told = figures.findings.length;
  while (performance.now() < until) {
    if (deck.length === 0) {
      deck = Object.entries(phases)
        .map((entry) => ({ entry, rank: stage.random() }))
        .toSorted((a, b) => a.rank - b.rank)
        .map(({ entry }) => entry);
    }
    const [name, phase] = deck.pop() as [string, Phase];
    say(`${name}, ${stage.seen.size} snapshots, ${figures.findings.length} findings`);
    figures.count('phases', name);
    await phase(stage);
    for (const finding of figures.findings.slice(told, told + 3)) say(finding);
    told = figures.findings.length;
    await sleep(stage.random() * intervalMs!);
    await forgetOld();
  }
}

/** Two eras are remembered: snapshots of older ones are no longer held against their writers. */
async function forgetOld(): Promise<void> {
  for (const era of stage.eras.slice(0, -2)) {
    if (era.isForgotten) continue;
    era.isForgotten = true;
    await sleep(500);
    await era.life.forget();
  }
}

async function finish(): Promise<void> {
  await stage.channel.setRough(false);
  await eraOf(stage).life.pause();
  const { exitCode, lastLine } = await endWatched(agentOf(stage), 'SIGTERM');
  if (exitCode !== 0) figures.find(`the last backup: exit ${exitCode}, ${lastLine?.msg}`);
  await checkFinal(stage, 'the end');
  const { exitCode: verified, said } = await command(stage, ['verify', '--read-data', '--all'], {
    isDirect: true,
  });
  if (verified !== 0) figures.find(`the remote does not verify: ${said}`);
}
