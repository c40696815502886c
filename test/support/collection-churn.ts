import { setTimeout as sleep } from 'node:timers/promises';
import { ChromaClient } from 'chromadb';
import { documentOf, vectorOf } from './records.ts';

export interface CollectionChurn {
  /** Collections that were made and deleted. */
  readonly rounds: () => number;
  /** Ends the present round; rejects when the server refused anything. */
  stop(): Promise<void>;
}

/** The names of collections that churn makes. */
export const churned = /^churn-/;

/**
 * Makes a collection, fills it, deletes it, and so on. Half of them have so low a threshold that their index is persisted
 * before they go.
 */
export function startCollectionChurn(
  port: number,
  { pauseMs }: { readonly pauseMs: number },
): CollectionChurn {
  const client = new ChromaClient({ host: '127.0.0.1', port });
  const state = { isStopped: false };
  let rounds = 0;
  const turn = async (): Promise<void> => {
    const name = `churn-${rounds}`;
    const hnsw = {
      space: 'l2' as const,
      ...(rounds % 2 === 0 ? { sync_threshold: 10, batch_size: 10 } : {}),
    };
    const spec = { name, space: 'l2' as const, dimension: 32 };
    const collection = await client.createCollection({
      name,
      embeddingFunction: null,
      configuration: { hnsw },
    });
    const seeds = Array.from({ length: 25 }, (_, index) => rounds * 25 + index);
    await collection.add({
      ids: seeds.map((seed) => `record-${seed}`),
      embeddings: seeds.map((seed) => vectorOf(spec, seed)),
      documents: seeds.map(documentOf),
    });
    await sleep(pauseMs / 2);
    await client.deleteCollection({ name });
    rounds += 1;
    await sleep(pauseMs / 2);
  };
  const ended = (async () => {
    while (!state.isStopped) await turn();
  })();
  // Whoever stops it hears of it.
  ended.catch(() => undefined);
  return {
    rounds: () => rounds,
    stop: async () => {
      state.isStopped = true;
      await ended;
    },
  };
}
