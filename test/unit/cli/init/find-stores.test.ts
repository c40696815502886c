import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findStores } from '../../../../src/cli/init/find-stores.ts';

let cwd = '';
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'sync-agent-find-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

async function found(files: readonly string[], env: Record<string, string> = {}): Promise<readonly string[]> {
  for (const file of files) {
    mkdirSync(dirname(join(cwd, file)), { recursive: true });
    writeFileSync(join(cwd, file), 'ten bytes!');
  }
  const stores = await findStores(cwd, env);
  return stores.map(({ path, kind, bytes }) => `${path.slice(cwd.length + 1) || '.'} ${kind} ${bytes}`);
}

it('finds databases a few directories down, Chroma first, with their size', async () => {
  expect(await found(['var/db/app.sqlite', 'srv/vectors/chroma.sqlite3', 'srv/vectors/x/y.bin'])).toEqual([
    'srv/vectors chroma 20',
    'var/db sqlite 10',
  ]);
});

it('takes a directory of a usual name, or one that the environment names, without a database', async () => {
  expect(await found(['chroma/x', 'elsewhere/y', 'other/z'], { CHROMA_DB: './elsewhere' })).toEqual([
    'elsewhere files 10',
    'chroma files 10',
  ]);
});

it('prefers the database in such a directory, and of nested databases the outer one', async () => {
  expect(await found(['data/readme', 'data/a/chroma.sqlite3', 'data/a/b/inner.db'])).toEqual([
    'data/a chroma 20',
  ]);
});

it('does not take the application, its modules, hidden directories, or a remote', async () => {
  const files = [
    'app.db',
    'node_modules/x/test.sqlite',
    '.chroma.sync-agent/rollback/1/chroma.sqlite3',
    'backup/commits/1.json',
    'backup/history/1/chroma.sqlite3',
    'backup/chroma.sqlite3',
  ];
  expect(await found(files, { CHROMA_DB: '.', CHROMA_PATH: './backup' })).toEqual([]);
});
