import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openDaemon } from '../../../src/library/open-daemon.ts';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import type { Operations } from '../../../src/api/operations.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-keeps-log-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Starts an agent that is to save each write, its operations in this process, and closes it. */
async function start(): Promise<unknown> {
  const settings = { store: join(root, 'store'), remote: `file://${join(root, 'remote')}` };
  const daemon = await openDaemon(
    { ...settings, continuous: {}, detect: 'poll' },
    {
      command: 'test',
      operationsFor: ({ emit }) =>
        createAgent(settings, emit === undefined ? {} : { emit }) as unknown as Operations,
      emit: () => undefined,
    },
  );
  try {
    await daemon.start();
    return 'started';
  } finally {
    await daemon.close();
  }
}

it.each([
  ['a directory of files', 'files', () => writeFile(join(root, 'store/a'), 'one')],
  [
    'a SQLite file',
    'sqlite',
    async () => new Database(join(root, 'store/app.db')).exec('CREATE TABLE t(a)').close(),
  ],
])('an agent refuses to save each write of %s, and says what works', async (_, kind, make) => {
  await mkdir(join(root, 'store'));
  await make();
  await expect(start()).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: `Cannot follow the writes of a ${kind} store: only a Chroma store keeps a log of them`,
    remedy: expect.stringContaining('Leave --continuous out') as string,
  });
});

it.each([
  ['does not exist', async () => undefined],
  ['is empty', () => mkdir(join(root, 'store'))],
  [
    'has only empty files',
    async () => {
      await mkdir(join(root, 'store'));
      await writeFile(join(root, 'store/.gitkeep'), '');
    },
  ],
  [
    'is being made by a Chroma server',
    async () => {
      await mkdir(join(root, 'store'));
      await writeFile(join(root, 'store/chroma.sqlite3'), '');
    },
  ],
])('an agent waits for a store that %s', async (_, make) => {
  await make();
  expect(await start()).toBe('started');
});
