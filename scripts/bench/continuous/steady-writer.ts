import { setTimeout as sleep } from 'node:timers/promises';
import type { Collection } from 'chromadb';
import { documentOf, vectorOf } from '../../../test/support/records.ts';
import { chromaSpec } from '../stores/chroma-stores.ts';

export interface Written {
  /** How many records were acknowledged by then, by this host's clock. */
  readonly acknowledged: readonly { readonly atMs: number; readonly count: number }[];
  readonly latenciesMs: readonly number[];
  readonly failures: number;
}

const perRequest = 25;

/** Adds records at a steady rate: a request that is late is followed at once by the next. */
export async function writeSteadily(
  collection: Collection,
  {
    from,
    perSecond,
    seconds,
  }: { readonly from: number; readonly perSecond: number; readonly seconds: number },
): Promise<Written> {
  const acknowledged: { atMs: number; count: number }[] = [];
  const latenciesMs: number[] = [];
  let failures = 0;
  const started = performance.now();
  const requests = (perSecond * seconds) / perRequest;
  for (let request = 0; request < requests; request += 1) {
    const dueMs = started + (request * perRequest * 1000) / perSecond;
    if (dueMs > performance.now()) await sleep(dueMs - performance.now());
    const seeds = Array.from({ length: perRequest }, (_, index) => from + request * perRequest + index);
    const sentMs = performance.now();
    try {
      await collection.add({
        ids: seeds.map((seed) => `written-${seed}`),
        embeddings: seeds.map((seed) => vectorOf(chromaSpec, seed)),
        documents: seeds.map((seed) => [0, 1, 2, 3].map((part) => documentOf(seed * 4 + part)).join('. ')),
      });
      acknowledged.push({ atMs: Date.now(), count: (request + 1) * perRequest });
    } catch {
      failures += 1;
    }
    latenciesMs.push(performance.now() - sentMs);
  }
  return { acknowledged, latenciesMs, failures };
}

export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN;
