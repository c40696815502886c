import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type * as Library from '../../src/index.ts';
import { importBuilt } from '../support/built-cli.ts';
import { runCli } from '../support/cli.ts';
import type { CliResult } from '../support/cli.ts';

// Compiled, as callers have it.
const { createSyncAgent } = await importBuilt<typeof Library>('index.js');

const root = mkdtempSync(join(tmpdir(), 'sync-agent-damage-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let cwd = '';
let store = '';
let number = 0;
const remoteUrl = (): string => pathToFileURL(join(cwd, 'my remote')).href;
const run = (args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> =>
  runCli(args, {
    cwd,
    env: { SYNC_AGENT_REMOTE: remoteUrl(), SYNC_AGENT_HTTP: 'off', HOME: '/nowhere', ...env },
  });
const runMarking = (...flags: readonly string[]): Promise<CliResult> =>
  run(['run', ...flags, '--', process.execPath, '-e', 'require("fs").writeFileSync("started", "")']);
const isStarted = (): boolean => existsSync(join(cwd, 'started'));

function sql(text: string): void {
  const database = new Database(join(store, 'app.db'));
  database.exec(text);
  database.close();
}

function damage(): void {
  writeFileSync(join(store, 'app.db'), readFileSync(join(store, 'app.db')).fill(0xa5, 0, 100));
}

beforeEach(async () => {
  cwd = join(root, String((number += 1)));
  store = join(cwd, 'chroma');
  mkdirSync(store, { recursive: true });
  sql('CREATE TABLE t (x); INSERT INTO t VALUES (1)');
  expect((await run(['backup'])).exitCode).toBe(0);
});

describe('a damaged store', () => {
  beforeEach(damage);

  it('is met by restore: exit code 5, and what to type', async () => {
    const { exitCode, stderr } = await run(['restore']);
    expect(exitCode).toBe(5);
    expect(stderr).toContain('app.db is no SQLite database any more');
    expect(stderr).toContain('sync-agent restore --on-damage recover');
  });

  it('is met by run: the command is not started', async () => {
    expect((await runMarking()).exitCode).toBe(5);
    expect((await runMarking('--on-error', 'continue')).exitCode).toBe(5);
    expect(isStarted()).toBe(false);
    expect((await runMarking('--on-damage', 'recover')).exitCode).toBe(0);
    expect(isStarted()).toBe(true);
  });

  it('is met by a program', async () => {
    const agent = createSyncAgent({ store, remote: remoteUrl() });
    await expect(agent.restore()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    await expect(agent.assertSound()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    const recovering = createSyncAgent({ store, remote: remoteUrl(), onDamage: 'recover' });
    expect(await recovering.restore()).toMatchObject({ type: 'restored', lost: { records: null } });
    await agent.assertSound();
  });

  it('is not gone on with when the remote is out of reach', async () => {
    const env = { SYNC_AGENT_REMOTE: 's3://bucket/x', AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_REGION: 'us-east-1' }; // prettier-ignore
    const { exitCode, stderr } = await run(['restore', '--on-error', 'continue'], env);
    expect(exitCode).toBe(5);
    expect(stderr).toContain('app.db');
  }, 120_000);

  it('is recovered from by a setting in the environment, which tells what is missing', async () => {
    const { exitCode, stdout, stderr } = await run(['restore'], { SYNC_AGENT_ON_DAMAGE: 'recover' });
    expect(exitCode).toBe(0);
    expect(stderr).toContain('The store was damaged: app.db is no SQLite database any more');
    expect(stdout).toMatch(/missing +writes from 20.*, to 20.*: unknown number of records/);
    expect(stdout).toMatch(/to go back +sync-agent rollback 20\S+ --force/);
    const back = await run(['rollback', 'latest']);
    expect(back).toMatchObject({ exitCode: 5 });
    expect(back.stderr).toContain('--force puts it back all the same');
    expect((await run(['rollback', 'latest', '--force'])).exitCode).toBe(0);
  });
});

describe('a store of unknown origin', () => {
  beforeEach(() => {
    rmSync(join(cwd, '.chroma.sync-agent'), { recursive: true });
    sql('INSERT INTO t VALUES (2)');
  });

  it('is left alone with exit code 4, and the words say what to type', async () => {
    const { exitCode, stdout } = await run(['restore']);
    expect(exitCode).toBe(4);
    expect(stdout).toContain('no record says where the store comes from');
    expect(stdout).toMatch(
      /to restore it +sync-agent restore --force; keeps the present store as a rollback copy/,
    );
    expect(stdout).toMatch(/to keep both +sync-agent backup;/);
    expect((await run(['sync'])).exitCode).toBe(4);
  });

  it('is not started on, unless that is insisted on', async () => {
    const { exitCode, stderr } = await runMarking();
    expect(exitCode).toBe(4);
    expect(stderr).toContain('sync-agent restore --force');
    expect(isStarted()).toBe(false);
    expect((await runMarking('--on-error', 'continue')).exitCode).toBe(0);
    expect(isStarted()).toBe(true);
  });

  it('is backed up beside the others, and the next restore tells what it leaves behind', async () => {
    expect((await run(['backup'])).exitCode).toBe(4);
    const { exitCode, stdout } = await run(['restore', '--store', './elsewhere']);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('Diverged: several hosts wrote, none on top of the other');
  });
});

describe('first words', () => {
  it('name init where no remote is configured', async () => {
    const { exitCode, stderr } = await run(['list'], { SYNC_AGENT_REMOTE: '' });
    expect(exitCode).toBe(2);
    expect(stderr).toContain('sync-agent init');
  });

  it('show paths as people write them', async () => {
    expect((await run(['status'])).stdout).toMatch(/^Store \.\/chroma\n[^]*^Remote \.\/my remote$/m);
    symlinkSync(store, join(cwd, 'link'));
    expect((await run(['status', '--store', 'link'])).stdout).toContain(`Store ./link, which is ${store}\n`);
    const { stdout } = await runCli(['status', '--store', store], {
      cwd: tmpdir(),
      env: { SYNC_AGENT_REMOTE: remoteUrl(), HOME: cwd },
    });
    expect(stdout).toMatch(/^Store (~|\.\/.*)\/chroma\n/);
  });
});
