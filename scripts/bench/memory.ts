import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runMeasured } from './run-measured.ts';
import type { Measured } from './run-measured.ts';
import type { BenchS3 } from './s3.ts';
import { bytesOf, copyStore, makeSqliteStore } from './stores.ts';
import type { Place, Tool } from './tools.ts';

export interface MemoryResult {
  readonly storeBytes: number;
  readonly backup: Measured;
  readonly unchanged: Measured;
  readonly restore: Measured;
}

/** A cold backup, one of nothing, and a cold restore of a store several times as large. */
export async function measureMemory(options: {
  readonly agent: Tool;
  readonly s3: BenchS3;
  readonly work: string;
  readonly bytes: number;
  readonly say: (line: string) => void;
}): Promise<MemoryResult> {
  const { agent, s3, say } = options;
  const model = await makeSqliteStore(options.bytes, say);
  const home = join(options.work, 'memory');
  const store = join(home, 'store');
  const place: Place = { home, store, endpoint: s3.endpoint, bucket: 'bench-memory', env: s3.env };
  await mkdir(home);
  await copyStore(model, store);
  await s3.makeBucket(place.bucket);
  const scratch = join(home, 'time');
  say('memory: a large store');
  const backup = await runMeasured(agent.backup(place), scratch);
  const unchanged = await runMeasured(agent.backup(place), scratch);
  for (const path of [store, ...agent.localState(place)]) await rm(path, { recursive: true, force: true });
  const restore = await runMeasured(agent.restore(place), scratch);
  await s3.empty(place.bucket);
  await rm(home, { recursive: true, force: true });
  return { storeBytes: await bytesOf(model), backup, unchanged, restore };
}
