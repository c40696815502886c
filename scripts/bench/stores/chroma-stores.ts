import { join } from 'node:path';
import { startChromaServer } from '../../../test/support/chroma-server.ts';
import { documentOf, metadataOf, randomFrom, vectorOf } from '../../../test/support/records.ts';
import type { CollectionSpec } from '../../../test/support/records.ts';
import { cached } from './cached.ts';
import { copyStore } from './copy-store.ts';

export const chromaSpec: CollectionSpec = { name: 'bench', space: 'cosine', dimension: 384 };
const batch = 400;

/**
 * What the records' metadata look like. Growing values, such as a time, are added at the end of SQLite's indexes; random
 * ones, such as a hash, change pages all over the database.
 */
export type Metadata = 'growing' | 'random';

/** A Chroma store before and after its application added 1 % more records. Nobody writes either directory. */
export interface ChromaStores {
  readonly base: string;
  readonly grown: string;
}

/** Made by the real server. */
export async function makeChromaStores(
  metadata: Metadata,
  records: number,
  say: (line: string) => void,
): Promise<ChromaStores> {
  const dir = await cached(`chroma-${metadata}`, records, async (work) => {
    say(`making a Chroma store of ${records} records with ${metadata} metadata; this happens once`);
    const add = (name: string, from: number, to: number): Promise<void> =>
      addRecords(join(work, name), { metadata, from, to, say });
    await add('base', 0, records);
    await copyStore(join(work, 'base'), join(work, 'grown'));
    await add('grown', records, Math.ceil(records * 1.01));
  });
  return { base: join(dir, 'base'), grown: join(dir, 'grown') };
}

interface Addition {
  readonly metadata: Metadata;
  readonly from: number;
  readonly to: number;
  readonly say: (line: string) => void;
}

async function addRecords(path: string, { metadata, from, to, say }: Addition): Promise<void> {
  const server = await startChromaServer({ path });
  try {
    const collection = await server.client.getOrCreateCollection({
      name: chromaSpec.name,
      configuration: { hnsw: { space: chromaSpec.space } },
      embeddingFunction: null,
    });
    for (let start = from; start < to; start += batch) {
      const seeds = Array.from({ length: Math.min(batch, to - start) }, (_, index) => start + index);
      await collection.add({
        ids: seeds.map((seed) => `record-${seed}`),
        embeddings: seeds.map((seed) => vectorOf(chromaSpec, seed)),
        documents: seeds.map(textOf),
        metadatas: seeds.map(metadata === 'growing' ? metadataOf : randomMetadata),
      });
      if ((start - from) % 10_000 < batch) say(`  ${start} of ${to} records`);
    }
  } finally {
    await server.stop();
  }
}

/** Some 600 characters, a paragraph as applications cut texts into. */
function textOf(seed: number): string {
  return [0, 1, 2, 3].map((part) => documentOf(seed * 4 + part)).join('. ');
}

function randomMetadata(seed: number): Record<string, string | number> {
  const random = randomFrom(seed);
  const number = Math.floor(random() * 2 ** 32);
  return { seed: number, ratio: random(), label: `label ${Math.floor(random() * 2 ** 32).toString(16)}` };
}
