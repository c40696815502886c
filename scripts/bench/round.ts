import { execFileSync } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startCountingProxy } from './measure/counting-proxy.ts';
import type { CountingProxy } from './measure/counting-proxy.ts';
import { busyMsOfMachine, cpuMsOf, ownCpuMs } from './measure/cpu-time.ts';
import { runMeasured } from './measure/run-measured.ts';
import type { Bench, Sample } from './part.ts';
import type { Place, Tool } from './tools/tool.ts';

export interface Step {
  readonly name: string;
  readonly act: 'backup' | 'restore';
  /** A step that only makes the next one possible is not measured. */
  readonly isMeasured?: boolean;
  arrange?(place: Place, tool: Tool): Promise<void>;
  /** The directory that the store must equal afterwards, byte by byte. */
  readonly expected?: string;
}

export interface Series {
  /** Names buckets: lower-case letters and hyphens. */
  readonly name: string;
  readonly tools: readonly Tool[];
  readonly target: 's3' | 'directory';
  /** What the tools reach the S3 server by, instead of directly. */
  readonly endpoint?: string;
  /** Each starts from what the one before left. */
  readonly steps: readonly Step[];
  readonly rounds: number;
  /** Adds a round through a proxy that counts requests and bytes. */
  readonly isCounted?: boolean;
}

/**
 * All steps of all tools, one tool after the other within each step, another one first in each round, so that a disturbance
 * hits all alike.
 */
export async function runSeries(bench: Bench, series: Series): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= series.rounds; round += 1) {
    samples.push(...(await runRound(bench, series, { round, proxy: undefined })));
  }
  if (series.isCounted !== true) return samples;
  const proxy = await startCountingProxy(bench.s3.endpoint);
  try {
    samples.push(...(await runRound(bench, series, { round: 0, proxy })));
  } finally {
    proxy.close();
  }
  return samples;
}

interface Round {
  readonly round: number;
  readonly proxy: CountingProxy | undefined;
}

async function runRound(bench: Bench, series: Series, { round, proxy }: Round): Promise<Sample[]> {
  const work = join(bench.work, `${series.name}-${round}`);
  const endpoint = proxy?.endpoint ?? series.endpoint ?? bench.s3.endpoint;
  const shift = round % series.tools.length;
  const tools = [...series.tools.slice(shift), ...series.tools.slice(0, shift)];
  const places = new Map<Tool, Place>();
  const samples: Sample[] = [];
  try {
    for (const [index, tool] of tools.entries()) {
      places.set(
        tool,
        await makePlace(bench, series, { tool, home: join(work, String(index)), index, round, endpoint }),
      );
    }
    for (const step of series.steps) {
      for (const [tool, place] of places) {
        await step.arrange?.(place, tool);
        proxy?.take();
        const sample = await runStep(bench, step, { tool, place, scratch: join(work, 'time') });
        const name = `${proxy === undefined ? `round ${round}` : 'counted'}: ${step.name}, ${tool.name}`;
        if (step.expected !== undefined) assertEqual(place.store, step.expected, name);
        if (step.isMeasured === false) continue;
        samples.push({ ...sample, traffic: proxy?.take() });
        bench.say(`  ${name}: ${shown(sample)}`);
      }
    }
  } finally {
    for (const { target } of places.values()) {
      if (target.type === 's3') await bench.s3.empty(target.bucket);
    }
    await rm(work, { recursive: true, force: true });
  }
  return samples;
}

async function makePlace(
  { s3 }: Bench,
  series: Series,
  options: {
    readonly tool: Tool;
    readonly home: string;
    readonly index: number;
    readonly round: number;
    readonly endpoint: string;
  },
): Promise<Place> {
  const { tool, home, index, round, endpoint } = options;
  const bucket = `bench-${series.name}-${round}-${index}`;
  await mkdir(home, { recursive: true });
  if (series.target === 's3') await s3.makeBucket(bucket);
  const place: Place = {
    home,
    store: join(home, 'store'),
    target:
      series.target === 's3'
        ? { type: 's3', endpoint, bucket, env: s3.env }
        : { type: 'directory', path: join(home, 'remote') },
  };
  if (tool.prepare !== undefined) await runMeasured(tool.prepare(place), join(home, 'time'));
  return place;
}

async function runStep(
  { s3 }: Bench,
  step: Step,
  { tool, place, scratch }: { readonly tool: Tool; readonly place: Place; readonly scratch: string },
): Promise<Sample> {
  const before = { busy: busyMsOfMachine(), server: cpuMsOf(s3.pids), own: ownCpuMs() };
  const measured = await runMeasured(tool[step.act](place), scratch);
  const serverCpuMs = cpuMsOf(s3.pids) - before.server;
  const ours = measured.cpuMs + serverCpuMs + ownCpuMs() - before.own;
  return {
    step: step.name,
    tool: tool.name,
    measured,
    serverCpuMs: s3.pids.length === 0 || place.target.type === 'directory' ? undefined : serverCpuMs,
    othersCpuMs: Math.max(0, busyMsOfMachine() - before.busy - ours),
    traffic: undefined,
  };
}

function assertEqual(store: string, model: string, name: string): void {
  try {
    execFileSync('diff', ['-rq', store, model], { stdio: 'pipe' });
  } catch (cause) {
    throw new Error(`${name}: restored something else than was backed up`, { cause });
  }
}

const shown = ({ measured: { wallMs, cpuMs, peakBytes }, serverCpuMs }: Sample): string =>
  `${(wallMs / 1000).toFixed(2)} s, CPU ${(cpuMs / 1000).toFixed(2)} s, ${(peakBytes / 1e6).toFixed(0)} MB` +
  (serverCpuMs === undefined ? '' : `, server's CPU ${(serverCpuMs / 1000).toFixed(2)} s`);
