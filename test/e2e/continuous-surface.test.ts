import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import type { Collection } from 'chromadb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { builtUrl, startBuiltCli } from '../support/built-cli.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { readDocument } from '../support/documents.ts';
import { startAgent } from '../support/running-agent.ts';

interface Example {
  addNote(
    collection: Collection,
    note: { readonly id: string; readonly text: string; readonly embedding: readonly number[] },
  ): Promise<void>;
  stop(): Promise<{ readonly isSaved: boolean }>;
}

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-surface-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe.skipIf(chromaAvailable() !== undefined)('an agent that saves each write of a real server', () => {
  let store: string;
  let remote: string;
  let server: ChromaServer;
  let notes: Collection;
  beforeAll(async () => {
    store = join(root, 'chroma');
    remote = pathToFileURL(join(root, 'remote')).href;
    server = await startChromaServer({ path: store });
    notes = await server.client.createCollection({ name: 'notes', embeddingFunction: null });
    await notes.add({ ids: ['before'], embeddings: [[1, 2]], documents: ['before'] });
  });
  afterAll(() => server.stop('SIGKILL'));

  /** The ids in the queue of a copy that is restored elsewhere. */
  async function restoredIds(name: string): Promise<readonly unknown[]> {
    const agent = createAgent({ store: join(root, 'elsewhere'), remote });
    await agent.restoreTo(join(root, name));
    await agent.close();
    const db = new Database(join(root, name, 'chroma.sqlite3'), { readonly: true });
    const ids = db.prepare('SELECT id FROM embeddings_queue ORDER BY seq_id').pluck().all();
    db.close();
    return ids;
  }

  it('has what the example in docs/library.md waits for', async () => {
    const block =
      /<!-- example: flush -->\n```js\n(.*?)```/s.exec(readDocument('docs/library.md'))?.[1] ?? '';
    const module = join(root, 'example.mjs');
    const text = block
      .replace("'sync-agent'", JSON.stringify(builtUrl('index.js')))
      .replace("'./chroma'", JSON.stringify(store))
      .replace("'s3://my-bucket/my-app'", JSON.stringify(remote));
    await writeFile(module, text);
    const { addNote, stop } = (await import(pathToFileURL(module).href)) as Example;
    await addNote(notes, { id: 'first', text: 'one', embedding: [1, 1] });
    expect(await restoredIds('first')).toContain('first');
    await addNote(notes, { id: 'second', text: 'two', embedding: [2, 2] });
    // The agent still runs: nothing but the log can have brought it.
    expect((await restoredIds('second')).slice(-2)).toEqual(['first', 'second']);
    expect(await stop()).toMatchObject({ isSaved: true });
  });

  it('answers POST /flush, and tells in metrics, status, list and restore how far the log is', async () => {
    const sync = async (...words: readonly string[]) => {
      const { stdout, exitCode } = await startBuiltCli([...words, '--store', store, '--remote', remote]).done;
      expect(exitCode).toBe(0);
      return stdout;
    };
    const agent = startAgent([
      'watch',
      '--store',
      store,
      '--remote',
      remote,
      '--continuous=1h',
      '--http',
      '0',
    ]);
    const { url } = (await agent.saw('listening')) as unknown as { readonly url: string };
    await agent.saw('log-following');
    await notes.upsert({ ids: ['third'], embeddings: [[3, 3]], documents: ['three'] });
    const flushed = await fetch(`${url}flush`, { method: 'POST' });
    expect([flushed.status, await flushed.json()]).toEqual([200, { isSaved: true, type: 'flushed' }]);
    expect(await restoredIds('third')).toContain('third');

    const metrics = await (await fetch(`${url}metrics`)).text();
    expect(metrics).toMatch(/^sync_agent_log_operations_total [1-9]/m);
    expect(metrics).not.toMatch(/^sync_agent_unsaved_since_timestamp_seconds \d/m);
    expect(await sync('status')).toMatch(/log +behind \S+ up to operation \d+: \d+ writes? in \d+ segments?/);
    expect(await sync('list')).toMatch(/log until 20\d\d-/);
    expect(await sync('show', 'latest')).toMatch(/log +writes until 20\d\d-\S+, operation \d+/);
    expect(await sync('flush')).toContain('All that was written before is in the remote');
    expect(await agent.stop()).toMatchObject({ exitCode: 0 });
    expect(await sync('restore', '--to', join(root, 'fourth'))).toMatch(
      /then +\d+ writes? after it, up to 20\d\d-\S+; the server applies them at its first access/,
    );
  });
});

it.each([['watch'], ['run']])(
  '%s --continuous of another store exits with 1, and nothing was started',
  async (command) => {
    const store = join(root, `files-${command}`);
    await mkdir(store);
    await writeFile(join(store, 'a'), 'one');
    const marker = join(store, 'started');
    const rest =
      command === 'run'
        ? ['--no-restore', '--', process.execPath, '-e', `fs.writeFileSync(${JSON.stringify(marker)}, 'x')`]
        : [];
    const { exitCode, stderr } = await startBuiltCli([
      command,
      '--store',
      store,
      '--remote',
      pathToFileURL(join(root, `remote-${command}`)).href,
      '--http',
      'off',
      '--continuous',
      ...rest,
    ]).done;
    expect(stderr).toContain(
      'Cannot follow the writes of a files store: only a Chroma store keeps a log of them',
    );
    expect(stderr).toContain('Leave --continuous out');
    expect(exitCode).toBe(1);
    expect(existsSync(marker)).toBe(false);
  },
);
