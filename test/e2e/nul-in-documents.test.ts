import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';

/** Text out of PDFs and logs has such characters. SQLite's check then complains of the full-text index; Chroma serves all. */
describe.skipIf(chromaAvailable() !== undefined)(
  'a Chroma store with NUL characters in its documents',
  () => {
    let root: string;
    let server: ChromaServer;
    let agent: Agent;
    const servers: ChromaServer[] = [];

    const start = async (path: string): Promise<ChromaServer> => {
      const started = await startChromaServer({ path });
      servers.push(started);
      return started;
    };
    const contentOf = async ({ client }: ChromaServer): Promise<unknown> => {
      const collection = await client.getCollection({ name: 'notes' });
      const { ids, documents, embeddings } = await collection.get({ include: ['documents', 'embeddings'] });
      const found = await collection.query({ queryEmbeddings: [[1, 1, 2, 3]], nResults: 3 });
      return { ids, documents, embeddings, found: found.ids };
    };

    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'sync-agent-nul-'));
      server = await start(join(root, 'store'));
      agent = createAgent({ store: join(root, 'store'), remote: `file://${join(root, 'remote')}` });
    });
    afterAll(async () => {
      for (const each of servers) await each.stop('SIGKILL');
      await agent.close();
      await rm(root, { recursive: true, force: true });
    });

    it('is backed up, told, and restored to a store that serves the same', async () => {
      const collection = await server.client.createCollection({ name: 'notes', embeddingFunction: null });
      const documents = ['plain', 'page one\0 page two', '\0', 'a\0\0\0b', 'the last'];
      await collection.add({
        ids: documents.map((_, index) => `n${index}`),
        documents,
        embeddings: documents.map((_, index) => [index, 1, 2, 3]),
      });
      const before = await contentOf(server);
      expect(await agent.backup()).toMatchObject({
        type: 'committed',
        damage: [],
        records: documents.length,
      });
      // And again: what is written beside it is saved, too.
      await collection.add({ ids: ['more'], documents: ['more'], embeddings: [[9, 9, 9, 9]] });
      expect(await agent.backup({ force: true })).toMatchObject({ type: 'committed', damage: [] });
      await agent.restoreTo(join(root, 'copy'), { snapshot: '~1' });
      expect(await contentOf(await start(join(root, 'copy')))).toEqual(before);
    });
  },
);
