import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { fingerprintOf } from '../support/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'sync-agent-killed-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe.skipIf(chromaAvailable() !== undefined)('a real server that was killed while it wrote', () => {
  it('leaves a store that a restore finds sound, without a change to it, and that the next server reads', async () => {
    const store = join(root, 'chroma');
    const agent = createAgent({ store, remote: pathToFileURL(join(root, 'remote')).href });
    let acknowledged = 0;
    for (const doneBeforeKill of [3, 10, 25]) {
      const server = await startChromaServer({ path: store });
      const collection = await server.client.getOrCreateCollection({
        name: 'notes',
        embeddingFunction: null,
      });
      expect(await collection.count()).toBeGreaterThanOrEqual(acknowledged);
      // Two writers, so that one of them is in the middle of a write when the other kills the server.
      const write = async (): Promise<void> => {
        for (let n = 0; ; n += 1) {
          const ids = Array.from({ length: 5 }, (_, i) => `${crypto.randomUUID()} ${n} ${i}`);
          const embeddings = ids.map((_, i) => [i, n, 1]);
          try {
            await collection.add({ ids, embeddings, documents: ids });
          } catch {
            return;
          }
          acknowledged += ids.length;
          if (n === doneBeforeKill) await server.stop('SIGKILL');
        }
      };
      await Promise.all([write(), write(), server.ended]);
      const before = fingerprintOf(store);
      const { type } = await agent.restore();
      expect(type).toBe(doneBeforeKill === 3 ? 'empty-remote' : 'ahead');
      expect(fingerprintOf(store)).toEqual(before);
      expect(await agent.backup()).toMatchObject({ type: 'committed' });
      expect(await agent.restore()).toMatchObject({ id: expect.any(String) as string });
    }
    expect(acknowledged).toBeGreaterThan(200);
  }, 180_000);
});
