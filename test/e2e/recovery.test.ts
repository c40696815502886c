import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildCli } from '../support/built-cli.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { destroyPage } from '../support/damage-database.ts';
import { readDocument } from '../support/documents.ts';
import { unpackFixture } from '../support/fixtures.ts';

/** docs/recovery.md promises that its blocks were run as they are printed. Here they are. */
const text = readDocument('docs/recovery.md');
const blocks = new Map(
  text
    .split(/^## /m)
    .slice(1)
    .map((section) => [
      section.slice(0, section.indexOf('\n')),
      [...section.matchAll(/^```bash\n(.*?)^```/gms)].map(([, block = '']) => block),
    ]),
);

const noChroma = chromaAvailable() !== undefined;

interface Place {
  readonly dir: string;
  readonly database: string;
  /** Runs the n-th block of a section, where the server listens on `port` instead of 8000. */
  run(
    section: string,
    n?: number,
    port?: number,
  ): Promise<{ readonly code: number; readonly output: string }>;
  sync(...words: readonly string[]): Promise<{ readonly code: number; readonly output: string }>;
  records(): number;
}

describe('docs/recovery.md', () => {
  let root: string;
  /** An application's directory with a store and two snapshots of it. */
  let prepared: string;
  const tried = new Set<string>();

  const placeIn = (dir: string): Place => {
    const env = {
      PATH: [join(root, 'bin'), process.env['PATH'] ?? ''].join(delimiter),
      HOME: root,
      SYNC_AGENT_STORE: './chroma',
      SYNC_AGENT_REMOTE: `file://${join(dir, 'remote')}`,
    };
    const bash = (script: string): Promise<{ code: number; output: string }> =>
      new Promise((resolve) => {
        execFile('bash', ['-ec', script], { cwd: dir, env }, (error, stdout, stderr) =>
          resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr }),
        );
      });
    const database = join(dir, 'chroma', 'chroma.sqlite3');
    return {
      dir,
      database,
      run: (section, n = 0, port = 8000) => {
        const block = blocks.get(section)?.[n];
        if (block === undefined) throw new Error(`docs/recovery.md has no block ${n} of "${section}"`);
        tried.add(`${section} ${n}`);
        return bash(block.replace('127.0.0.1:8000', `127.0.0.1:${port}`));
      },
      sync: (...words) => bash(['sync-agent', ...words].join(' ')),
      records: () => {
        const db = new Database(database, { readonly: true });
        try {
          return Number(db.prepare('SELECT count(*) FROM embeddings').pluck().get());
        } finally {
          db.close();
        }
      },
    };
  };
  let count = 0;
  const newPlace = async (): Promise<Place> => {
    const dir = join(root, `place-${(count += 1)}`);
    await cp(prepared, dir, { recursive: true });
    return placeIn(dir);
  };

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-recovery-'));
    await mkdir(join(root, 'bin'));
    await writeFile(
      join(root, 'bin', 'sync-agent'),
      `#!/bin/sh\nexec "${process.execPath}" "${buildCli()}" "$@"\n`,
    );
    await chmod(join(root, 'bin', 'sync-agent'), 0o755);
    prepared = join(root, 'prepared');
    unpackFixture('chroma-0.6.3', join(prepared, 'chroma'));
    const place = placeIn(prepared);
    await place.sync('backup');
    const db = new Database(place.database);
    db.exec(
      "INSERT INTO collection_metadata (collection_id, key, str_value) SELECT id, 'note', 'later' FROM collections",
    );
    db.close();
    expect((await place.sync('backup')).code).toBe(0);
  });
  afterAll(async () => {
    await rm(root, { recursive: true, force: true });
    const all = [...blocks].flatMap(([section, each]) => each.map((_, n) => `${section} ${n}`));
    if (!noChroma) expect(new Set(all)).toEqual(tried);
  });

  const records = 2033;

  it('First: keeps a copy, and says that a sound store is sound and a damaged one is not', async () => {
    const place = await newPlace();
    expect(await place.run('First')).toMatchObject({ code: 0 });
    expect(existsSync(join(place.dir, 'chroma.kept', 'chroma.sqlite3'))).toBe(true);
    await rm(join(place.dir, 'chroma.kept'), { recursive: true });
    destroyPage(place.database, 'embeddings');
    expect(await place.run('First')).toMatchObject({ code: 5 });
  });

  it('Writes fail: mends indexes, and the way back leads to before', async () => {
    const place = await newPlace();
    destroyPage(place.database, 'embedding_fulltext_search_data');
    expect(await place.run('Writes fail')).toMatchObject({ code: 0 });
    const { output, code } = await place.sync('check');
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).not.toContain('full-text');
    expect(await place.run('Back to before a step')).toMatchObject({ code: 0 });
    expect((await place.sync('check')).output).toContain('full-text');
  });

  it('A collection cannot be read: mends its index, or goes on without what is lost', async () => {
    const place = await newPlace();
    const folders = await foldersOf(place);
    for (const folder of folders) await rm(join(folder, 'header.bin'), { force: true });
    expect(await place.run('A collection cannot be read')).toMatchObject({ code: 0 });
    expect(place.records()).toBe(records);

    const other = await newPlace();
    for (const folder of await foldersOf(other)) await rm(join(folder, 'data_level0.bin'), { force: true });
    const refused = await other.run('A collection cannot be read');
    expect(refused.code).toBe(5);
    expect(refused.output).toContain('lost: "');
    expect(other.records()).toBe(records);
    expect(await other.run('A collection cannot be read', 1)).toMatchObject({ code: 0 });
    expect(other.records()).toBeLessThan(records);
  });

  it('The server starts empty: restores what was there, before and after a server made a new database', async () => {
    const place = await newPlace();
    await rm(place.database);
    expect(await place.run('The server starts empty')).toMatchObject({ code: 0 });
    expect(place.records()).toBe(records);

    const other = await newPlace();
    await rm(join(other.dir, 'chroma'), { recursive: true });
    unpackFixture('chroma-1-a', join(other.dir, 'chroma'));
    expect(await other.run('The server starts empty', 1)).toMatchObject({ code: 0 });
    expect(other.records()).toBe(records);
  });

  it.skipIf(noChroma)(
    'The database is damaged: saves what is left, restores the snapshot, and puts the rest back',
    async () => {
      const place = await newPlace();
      destroyPage(place.database, 'embeddings');
      await cp(join(place.dir, 'chroma'), join(place.dir, 'chroma.kept'), { recursive: true });
      const saved = await place.run('The database is damaged');
      expect(saved).toMatchObject({ code: 0 });
      expect(saved.output).toContain('Nothing was repaired');
      expect(await readdir(join(place.dir, 'saved'))).toContain('collections.json');
      expect(await place.run('The database is damaged', 1)).toMatchObject({ code: 0 });
      expect(place.records()).toBe(records);
      expect((await place.sync('rollback')).output).toContain('COPY');
      const server = await startChromaServer({ path: join(place.dir, 'chroma') });
      try {
        const imported = await place.run('The database is damaged', 2, server.port);
        expect(imported).toMatchObject({ code: 0 });
        expect(await (await server.client.getCollection({ name: 'colA' })).count()).toBe(1330);
      } finally {
        await server.stop();
      }
    },
  );

  it('Somebody deleted records: restores the snapshot before', async () => {
    const place = await newPlace();
    expect(await place.run('Somebody deleted records')).toMatchObject({ code: 0 });
    const db = new Database(place.database, { readonly: true });
    expect(db.prepare("SELECT count(*) FROM collection_metadata WHERE key = 'note'").pluck().get()).toBe(0);
    db.close();
  });

  it.skipIf(noChroma)('One collection is wrong: has it beside the present one, and as files', async () => {
    const place = await newPlace();
    const server = await startChromaServer({ path: join(place.dir, 'chroma') });
    try {
      expect(await place.run('One collection is wrong', 0, server.port)).toMatchObject({ code: 0 });
      expect(await (await server.client.getCollection({ name: 'tiny-before' })).count()).toBe(5);
      expect(await place.run('One collection is wrong', 1)).toMatchObject({ code: 0 });
    } finally {
      await server.stop();
    }
    const lines = await readFile(join(place.dir, 'saved', 'tiny.jsonl'), 'utf8');
    expect(lines.trim().split('\n').length).toBeGreaterThanOrEqual(5);
  });

  it('The disk is gone: has the store again', async () => {
    const place = await newPlace();
    for (const name of ['chroma', '.chroma.sync-agent']) await rm(join(place.dir, name), { recursive: true });
    expect(await place.run('The disk is gone')).toMatchObject({ code: 0 });
    expect(place.records()).toBe(records);
  });

  it('The remote lost its list: has it again', async () => {
    const place = await newPlace();
    await rm(join(place.dir, 'remote', 'commits'), { recursive: true });
    expect((await place.sync('list')).code).toBe(5);
    expect(await place.run('The remote lost its list')).toMatchObject({ code: 0 });
    expect(await place.sync('verify')).toMatchObject({ code: 0 });
  });

  it('Last resort: saves the damaged store as it is', async () => {
    const place = await newPlace();
    // A copy of a directory is of unknown origin until it is found to equal a snapshot.
    await place.sync('restore');
    destroyPage(place.database, 'embeddings');
    expect(await place.run('Last resort')).toMatchObject({ code: 0 });
    expect((await place.sync('list')).output).toMatch(/damaged|pinned/);
  });
});

/** The folders of the vector indexes. */
async function foldersOf({ dir }: Place): Promise<readonly string[]> {
  const entries = await readdir(join(dir, 'chroma'), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(dir, 'chroma', name));
}
