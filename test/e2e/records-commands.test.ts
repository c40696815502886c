import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { runCli } from '../support/cli.ts';
import type { CliResult } from '../support/cli.ts';
import { unpackFixture } from '../support/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'records-commands-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const store = join(root, 'store');

const sync = (...args: readonly string[]): Promise<CliResult> =>
  runCli(args, {
    cwd: root,
    env: { SYNC_AGENT_STORE: store, SYNC_AGENT_REMOTE: `file://${join(root, 'remote')}` },
  });

/** The lines of an export by their ids, in one form. */
function linesOf(file: string): ReadonlyMap<string, object> {
  const lines = readFileSync(join(root, file), 'utf8').trim().split('\n');
  return new Map(
    lines.map((line) => {
      const { id, embedding: _, ...rest } = JSON.parse(line) as { id: string; embedding: readonly number[] };
      return [id, rest];
    }),
  );
}

/** Two snapshots of a store, `~1` and `latest`. */
beforeAll(async () => {
  unpackFixture('chroma-1-a', store);
  expect((await sync('backup')).exitCode).toBe(0);
  const later = unpackFixture('chroma-1-b', join(root, 'later'));
  // Into the same files, as a server does.
  execFileSync('cp', ['-r', `${later}/.`, store]);
  expect((await sync('backup')).exitCode).toBe(0);
});

describe('sync-agent diff --records', () => {
  test('names the records that differ between two snapshots, and between one and the store', async () => {
    const { exitCode, stdout } = await sync('diff', '--records', '~1', 'latest', '--collection', 'beta-cosine', '--json'); // prettier-ignore
    expect(exitCode).toBe(0);
    const { collections } = JSON.parse(stdout) as {
      readonly collections: readonly {
        readonly name: string;
        readonly added: readonly string[];
        readonly removed: readonly string[];
        readonly changed: readonly { readonly id: string }[];
      }[];
    };
    expect(collections.map(({ name }) => name)).toEqual(['beta-cosine']);
    expect(collections[0]?.changed.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['beta-cosine-1', 'beta-cosine-21']),
    );
    const text = await sync('diff', '--records', '~1', '--collection', 'beta-cosine');
    expect(text.stdout).toContain('beta-cosine');
    expect(text.stdout).toMatch(/"beta-cosine-20" +embedding\n +and 1 more/);
    const same = await sync('diff', '--records', 'latest');
    expect(same).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('No record differs') as string,
    });
  });
});

describe.skipIf(chromaAvailable() !== undefined)('beside a running server', () => {
  let server: ChromaServer;
  beforeAll(async () => {
    server = await startChromaServer({ path: join(root, 'served') });
  });
  afterAll(() => server.stop());

  test('restore --collection brings one collection of a snapshot, under its name or another', async () => {
    const own = await sync('restore', '--collection', 'beta-cosine', '--chroma', server.url, '--json');
    expect(own.exitCode).toBe(0);
    expect(JSON.parse(own.stdout)).toMatchObject({ name: 'beta-cosine', added: 45, equal: 0 });
    const other = await sync('restore', '--snapshot', '~1', '--collection', 'gamma-ip', '--as', 'before', '--chroma', server.url); // prettier-ignore
    expect(other.exitCode).toBe(0);
    expect(other.stdout).toContain('before');
    const names = (await server.client.listCollections()).map(({ name }) => name);
    expect(names.toSorted()).toEqual(['before', 'beta-cosine']);
    const unknown = await sync('restore', '--collection', 'nobody', '--chroma', server.url);
    expect(unknown).toMatchObject({ exitCode: 3 });
    const without = await sync('restore', '--collection', 'beta-cosine');
    expect(without).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--chroma') as string });
  });

  test('export --chroma writes what an export of the snapshot does', async () => {
    const served = await sync('export', '--chroma', server.url, '--to', 'of-server', '--collection', 'beta-cosine'); // prettier-ignore
    expect(served).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('45 records') as string });
    expect((await sync('export', 'latest', '--to', 'of-snapshot', '--collection', 'beta-cosine')).exitCode).toBe(0); // prettier-ignore
    const expected = linesOf('of-snapshot/beta-cosine.jsonl');
    expect(expected.size).toBe(45);
    expect(linesOf('of-server/beta-cosine.jsonl')).toEqual(expected);
    const gone = await sync('export', '--chroma', 'http://127.0.0.1:9', '--to', 'nothing');
    expect(gone.exitCode).toBe(6);
  });
});
