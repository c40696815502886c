import { execFileSync } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startCountingProxy } from './counting-proxy.ts';
import type { Traffic } from './counting-proxy.ts';
import { runMeasured } from './run-measured.ts';
import type { Measured } from './run-measured.ts';
import type { BenchS3 } from './s3.ts';
import { changeInPlace, copyStore } from './stores.ts';
import type { ChromaStores } from './stores.ts';
import type { Place, Tool } from './tools.ts';

/** In this order; each starts from what the one before left. */
export const operations = [
  'cold backup',
  'backup, nothing changed',
  'backup after 1 % more records',
  'cold restore',
  'restore, nothing changed',
] as const;

export type Operation = (typeof operations)[number];

export interface Sample {
  readonly tool: string;
  readonly operation: Operation;
  readonly measured: Measured;
  /** Only of a counted round, whose times are worth nothing. */
  readonly traffic: Traffic | undefined;
}

export interface RoundOptions {
  readonly tools: readonly Tool[];
  readonly stores: ChromaStores;
  readonly s3: BenchS3;
  readonly work: string;
  readonly round: number;
  readonly isCounted: boolean;
  readonly say: (line: string) => void;
}

/**
 * All operations of all tools, one tool after the other within each operation, so that a disturbance hits all alike.
 * Every restore is compared with what was backed up.
 */
export async function runRound(options: RoundOptions): Promise<readonly Sample[]> {
  const { s3, stores, round, isCounted, say } = options;
  const work = join(options.work, `round-${round}`);
  const proxy = isCounted ? await startCountingProxy(s3.endpoint) : undefined;
  // A different tool goes first each time.
  const shift = round % options.tools.length;
  const tools = [...options.tools.slice(shift), ...options.tools.slice(0, shift)];
  const samples: Sample[] = [];
  try {
    const places = new Map<Tool, Place>();
    for (const [index, tool] of tools.entries()) {
      const home = join(work, String(index));
      const place: Place = {
        home,
        store: join(home, 'store'),
        endpoint: proxy?.endpoint ?? s3.endpoint,
        bucket: `bench-${round}-${index}`,
        env: s3.env,
      };
      await mkdir(home, { recursive: true });
      await copyStore(stores.base, place.store);
      await s3.makeBucket(place.bucket);
      if (tool.prepare !== undefined) await runMeasured(tool.prepare(place), join(work, 'time'));
      places.set(tool, place);
    }
    for (const operation of operations) {
      for (const [tool, place] of places) {
        await arrange(operation, tool, place, stores);
        execFileSync('sync');
        proxy?.take();
        const command = operation.includes('restore') ? tool.restore(place) : tool.backup(place);
        const measured = await runMeasured(command, join(work, 'time'));
        samples.push({ tool: tool.name, operation, measured, traffic: proxy?.take() });
        if (operation === 'cold restore') assertEqual(place.store, stores.grown, tool);
        say(`  ${isCounted ? 'counted' : `round ${round}`}: ${operation}, ${tool.name}: ${shown(measured)}`);
      }
    }
    for (const { bucket } of places.values()) await s3.empty(bucket);
  } finally {
    proxy?.close();
    await rm(work, { recursive: true, force: true });
  }
  return samples;
}

async function arrange(operation: Operation, tool: Tool, place: Place, stores: ChromaStores): Promise<void> {
  if (operation === 'backup after 1 % more records') await changeInPlace(place.store, stores.grown);
  if (operation !== 'cold restore') return;
  for (const path of [place.store, ...tool.localState(place)])
    await rm(path, { recursive: true, force: true });
}

function assertEqual(store: string, model: string, tool: Tool): void {
  try {
    execFileSync('diff', ['-rq', store, model], { stdio: 'pipe' });
  } catch (cause) {
    throw new Error(`${tool.name} restored something else than it backed up`, { cause });
  }
}

const shown = ({ wallMs, cpuMs, peakBytes }: Measured): string =>
  `${(wallMs / 1000).toFixed(2)} s, CPU ${(cpuMs / 1000).toFixed(2)} s, ${(peakBytes / 1e6).toFixed(0)} MB`;
