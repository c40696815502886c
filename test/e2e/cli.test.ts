import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli, startCli } from '../support/cli.ts';
import type { CliResult } from '../support/cli.ts';
import { startS3Server } from '../support/s3-server.ts';

const root = mkdtempSync(join(tmpdir(), 'sync-agent-cli-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let cwd = '';
let remote = '';
let store = '';
let number = 0;

beforeEach(() => {
  cwd = join(root, String((number += 1)));
  remote = join(cwd, 'remote');
  store = join(cwd, 'chroma');
  mkdirSync(store, { recursive: true });
  writeRecords(1000);
});

function open(): Database.Database {
  return new Database(join(store, 'data.sqlite3'));
}

function writeRecords(count: number): void {
  const database = open();
  database.exec('CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, text TEXT)');
  const insert = database.prepare('INSERT INTO records (text) VALUES (?)');
  database.transaction(() => {
    for (let index = 0; index < count; index += 1) insert.run('some text '.repeat(10));
  })();
  database.close();
}

function countRecords(): unknown {
  const database = open();
  const count = database.prepare('SELECT count(*) FROM records').pluck().get();
  database.close();
  return count;
}

const env = () => ({ SYNC_AGENT_REMOTE: pathToFileURL(remote).href, SYNC_AGENT_HOST: 'host-a' });
const run = (line: string, more: Record<string, string> = {}): Promise<CliResult> =>
  runCli(line.split(' ').filter(Boolean), { cwd, env: { ...env(), ...more } });

async function json(line: string): Promise<Record<string, unknown>> {
  const { stdout } = await run(`${line} --json`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** Path, size and time of every file below a directory. */
function tree(dir: string): readonly string[] {
  if (!existsSync(dir)) return [];
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).toSorted();
  return names.flatMap((name) => {
    const stats = statSync(join(dir, name));
    return stats.isFile() ? [`${name} ${stats.size} ${stats.mtimeMs}`] : [];
  });
}

const snapshotIds = async (): Promise<string[]> => {
  const { snapshots } = (await json('list')) as { snapshots: { id: string }[] };
  return snapshots.map(({ id }) => id);
};

describe('backup', () => {
  it('makes a snapshot, says what it cost, and makes none when nothing changed', async () => {
    const first = await run('backup');
    expect(first).toMatchObject({ exitCode: 0, stderr: '' });
    expect(first.stdout).toMatch(/Backed up as snapshot \d{4}-/);
    for (const fact of [/records\s+1,000/, /uploaded\s+\d/, /writers\s+/, /requests\s+\d+/])
      expect(first.stdout).toMatch(fact);
    const before = tree(remote);

    const second = await run('backup');
    expect(second).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^Nothing changed since/) as string,
    });
    expect(tree(remote)).toEqual(before);

    writeRecords(1);
    expect(await json('backup')).toMatchObject({ type: 'committed', records: 1001, generation: 2 });
  });

  it('--min-interval waits and --force does not', async () => {
    await run('backup');
    writeRecords(1);
    expect(await json('backup --min-interval 1h')).toMatchObject({ type: 'too-soon' });
    expect(await json('backup --min-interval 1h --force')).toMatchObject({ type: 'committed' });
  });

  it('refuses a store that lost its content with exit code 10 until --allow-shrink', async () => {
    await run('backup');
    const database = open();
    database.exec('DELETE FROM records WHERE id > 10; VACUUM');
    database.close();
    const refused = await run('backup');
    expect(refused).toMatchObject({ exitCode: 10, stdout: '' });
    expect(refused.stderr).toMatch(/^error: Cannot back up.*\n {2}.*--allow-shrink/);
    expect((await run('backup --allow-shrink')).exitCode).toBe(0);
  });

  it('--dry-run changes nothing anywhere', async () => {
    await run('backup');
    writeRecords(5);
    const before = [tree(remote), tree(store)];
    const { stdout, exitCode } = await run('backup --dry-run');
    expect({ stdout, exitCode }).toEqual({
      stdout: expect.stringMatching(/^Would upload/) as string,
      exitCode: 0,
    });
    expect([tree(remote), tree(store)]).toEqual(before);
  });

  it('that commits a second tip still prints it, and exits with 4', async () => {
    await run('backup');
    const other = join(cwd, 'other-host');
    cpSync(store, join(other, 'chroma'), { recursive: true });
    cpSync(join(cwd, '.chroma.sync-agent'), join(other, '.chroma.sync-agent'), { recursive: true });
    await run(`restore --store ${join(other, 'chroma')} --force`);
    writeRecords(1);
    await run('backup');
    store = join(other, 'chroma');
    writeRecords(2);
    const { stdout, exitCode } = await run(`backup --json --store ${store}`);
    expect(exitCode).toBe(4);
    expect((JSON.parse(stdout) as { diverged: string[] }).diverged).toHaveLength(2);
    expect((await run('list')).stdout.match(/tip/g)).toHaveLength(2);
    expect((await run('doctor')).exitCode).toBe(4);
    expect((await run('status')).exitCode).toBe(4);
  });
});

describe('list, show and diff', () => {
  it('tell what there is, and what changed', async () => {
    await run('backup');
    writeRecords(500);
    writeFileSync(join(store, 'notes.txt'), 'hello');
    await run('backup');
    const [first = '', second = ''] = await snapshotIds();

    const lines = (await run('list')).stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[2]).toMatch(new RegExp(`^${second} .* 2 .* 1,50\\d  host-a +<- this store$`));
    expect((await run('show ~1')).stdout).toContain(first);
    expect((await run(`show ${second}`)).stdout).toMatch(/notes\.txt/);
    expect((await run('diff ~1 latest')).stdout).toMatch(
      /\+ notes\.txt {2}5 B[^]*~|~[^]*\+ notes\.txt {2}5 B/,
    );
    expect(await json('diff ~1 latest')).toMatchObject({ from: first, to: second });
    expect((await run('diff ~1')).stderr).toContain('Cannot run "diff": it needs TO');
  });

  it('an unknown snapshot is exit code 3', async () => {
    await run('backup');
    expect((await run('show 1999')).exitCode).toBe(3);
  });
});

describe('verify', () => {
  it('exits with 5 and names the object that is damaged', async () => {
    await run('backup');
    const [id = ''] = await snapshotIds();
    expect(await run('verify --read-data')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/every byte/) as string,
    });

    const object = join(remote, 'history', id, 'data.sqlite3');
    const bytes = readFileSync(object);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    writeFileSync(object, bytes);
    expect((await run('verify')).exitCode).toBe(0);
    const damaged = await run('verify --all --read-data');
    expect(damaged.exitCode).toBe(5);
    expect(damaged.stdout).toContain(`history/${id}/data.sqlite3`);

    rmSync(object);
    expect((await run('verify')).exitCode).toBe(5);
  });
});

describe('restore', () => {
  it('brings a lost store back', async () => {
    await run('backup');
    rmSync(store, { recursive: true });
    const { stdout, exitCode } = await run('restore');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Restored snapshot/);
    expect(countRecords()).toBe(1000);
    expect(await json('restore')).toMatchObject({ type: 'equal' });
    expect(await json('sync')).toMatchObject({ type: 'unchanged' });
  });

  it('tells how to go back, and rollback goes back', async () => {
    await run('backup');
    writeRecords(7);
    expect((await run('restore --dry-run --force')).stdout).toMatch(/^Would restore/);
    expect(countRecords()).toBe(1007);
    const { stdout } = await run('restore --force');
    expect(countRecords()).toBe(1000);
    const [, words = ''] = /to go back\s+sync-agent (.*)/.exec(stdout) ?? [];

    expect((await run('rollback')).stdout).toContain(words.split(' ')[1]);
    expect((await run(words)).exitCode).toBe(0);
    expect(countRecords()).toBe(1007);
    expect((await json('rollback list')) as { copies: unknown[] }).toMatchObject({ copies: [{ files: 1 }] });
    expect((await run('rollback nothing')).exitCode).toBe(3);
  });

  it('--to looks at a snapshot without touching the store', async () => {
    await run('backup');
    const before = tree(store);
    expect((await run('restore --to copy --snapshot latest')).exitCode).toBe(0);
    expect(existsSync(join(cwd, 'copy', 'data.sqlite3'))).toBe(true);
    expect(tree(store)).toEqual(before);
    expect((await run('restore --to copy')).exitCode).toBe(10);
    expect((await run('restore --to other --force')).exitCode).toBe(2);
  });

  it('with nothing to restore yet is no failure', async () => {
    rmSync(store, { recursive: true });
    expect(await run('restore')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/no snapshot yet/) as string,
    });
  });

  it('of a diverged store exits with 4, and with 0 if told to continue', async () => {
    await run('backup');
    const other = join(cwd, 'other', 'chroma');
    await run(`restore --store ${other}`);
    writeRecords(1);
    await run('backup');
    store = other;
    writeRecords(2);
    expect((await run(`restore --store ${other}`)).exitCode).toBe(4);
    const continued = await run(`restore --store ${other} --on-error continue`);
    expect(continued).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/WARNING: .*diverged/) as string,
    });
  });
});

describe('restore before a start, when the remote is out of reach', () => {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    await Promise.all(closers.splice(0).map((close) => close()));
  });

  async function noSuchBucket(): Promise<Record<string, string>> {
    const server = await startS3Server();
    closers.push(() => server.close());
    return {
      SYNC_AGENT_REMOTE: 's3://missing-bucket/prefix',
      SYNC_AGENT_S3_ENDPOINT: server.endpoint,
      AWS_ACCESS_KEY_ID: server.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    };
  }

  it('continues loudly with the store there is, unless told to fail', async () => {
    const broken = await noSuchBucket();
    const continued = await run('restore', broken);
    expect(continued).toMatchObject({ exitCode: 0, stdout: '' });
    expect(continued.stderr).toMatch(/WARNING: .*\nWARNING: Nothing was restored/);
    expect((await run('restore --on-error fail', broken)).exitCode).toBe(3);
    expect((await run('restore', { ...broken, AWS_SECRET_ACCESS_KEY: 'wrong' })).exitCode).toBe(0);
  });

  it('fails without a store, unless told to continue', async () => {
    const broken = await noSuchBucket();
    rmSync(store, { recursive: true });
    expect((await run('restore', broken)).exitCode).toBe(3);
    expect((await run('restore --on-error continue', broken)).exitCode).toBe(0);
  });

  it('fails with a store that an interrupted restore left incomplete, whatever it is told', async () => {
    const broken = await noSuchBucket();
    mkdirSync(join(cwd, '.chroma.sync-agent'), { recursive: true });
    const journal = {
      format: 1,
      type: 'replace',
      attempt: 'a',
      location: 'x',
      snapshot: '2026-11-21T11-30-05.123Z-7f3a9c2e',
    };
    writeFileSync(join(cwd, '.chroma.sync-agent', 'journal.json'), JSON.stringify(journal));
    expect((await run('restore --on-error continue', broken)).exitCode).toBe(3);
    const status = await run('status', broken);
    expect(status).toMatchObject({ exitCode: 5, stdout: expect.stringMatching(/INCOMPLETE/) as string });
  });

  it('status tells of the remote and still of the store', async () => {
    const { stdout, exitCode } = await run('status', await noSuchBucket());
    expect(exitCode).toBe(3);
    expect(stdout).toMatch(/content\s+sqlite/);
    expect(stdout).toMatch(/Create the bucket/);
  });

  it('a usage error never lets it start', async () => {
    expect((await run('restore --on-error continue', { SYNC_AGENT_REMOTE: 'nonsense' })).exitCode).toBe(2);
    expect((await run('restore --on-error maybe')).exitCode).toBe(2);
  });
});

describe('the rest of the commands', () => {
  it('prune and clear-history show what they would do before they do it', async () => {
    for (let index = 0; index < 3; index += 1) {
      writeRecords(1);
      await run('backup');
    }
    const before = tree(remote);
    expect(await json('prune --dry-run --keep 1 --grace 0s')).toMatchObject({
      isDryRun: true,
      dropped: { length: 2 },
    });
    const refused = await run('clear-history');
    expect(refused).toMatchObject({
      exitCode: 10,
      stderr: expect.stringMatching(/delete 2 snapshots[^]*--yes/) as string,
    });
    expect(tree(remote)).toEqual(before);
    expect(await json('clear-history --yes')).toMatchObject({ dropped: { length: 2 } });
    expect(await snapshotIds()).toHaveLength(1);
  });

  it('a remote without its log ends every command with 5, and repair-remote shows what it would do first', async () => {
    for (let index = 0; index < 2; index += 1) {
      writeRecords(1);
      await run('backup');
    }
    const whole = await snapshotIds();
    rmSync(join(remote, 'commits'), { recursive: true });
    const before = tree(remote);
    for (const command of [
      'list',
      'restore',
      'backup',
      'sync',
      'status',
      'verify',
      'prune',
      'doctor',
      'show latest',
    ]) {
      const { exitCode, stdout, stderr } = await run(command);
      expect([command, exitCode]).toEqual([command, 5]);
      expect(stdout + stderr).toContain('repair-remote');
    }
    const refused = await run('repair-remote');
    expect(refused.exitCode).toBe(10);
    for (const id of whole) expect(refused.stderr).toContain(id);
    expect(await json('repair-remote --dry-run')).toMatchObject({ isDryRun: true, objects: 2 });
    expect(tree(remote)).toEqual(before);
    expect(await json('repair-remote --yes')).toMatchObject({ isDryRun: false, objects: 2, left: [] });
    expect(await snapshotIds()).toEqual(whole);
    expect(await run('repair-remote')).toMatchObject({ exitCode: 0 });
  });

  it('doctor passes on a healthy pair, leaves nothing behind, and names a damaged store', async () => {
    await run('backup');
    const before = tree(remote);
    const healthy = await run('doctor');
    expect(healthy).toMatchObject({ exitCode: 0, stdout: expect.not.stringMatching(/FAIL/) as string });
    expect(tree(remote)).toEqual(before);

    const file = join(store, 'data.sqlite3');
    const bytes = readFileSync(file);
    bytes.fill(0xff, 4096, 20_000);
    writeFileSync(file, bytes);
    const sick = await run('doctor');
    expect(sick.exitCode).toBe(5);
    expect(sick.stdout).toMatch(/FAIL {2}store/);
  });

  it('doctor fails two servers on one Chroma directory', async () => {
    new Database(join(store, 'chroma.sqlite3')).exec('CREATE TABLE t (x)').close();
    const hold = `require('node:fs').openSync(${JSON.stringify(join(store, 'chroma.sqlite3'))}); console.log('open'); setInterval(() => {}, 1000)`;
    const servers = [1, 2].map(() =>
      spawn(process.execPath, ['-e', hold], { stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    try {
      await Promise.all(servers.map((server) => once(server.stdout, 'data')));
      const { stdout, exitCode } = await run('doctor');
      expect(exitCode).toBe(8);
      expect(stdout).toMatch(/FAIL {2}servers/);
      expect(stdout).toContain(`pid ${servers[0]?.pid}`);
    } finally {
      for (const server of servers) server.kill();
    }
  });

  it('doctor warns of credentials that only read, and sees by trying that a server checks checksums', async () => {
    const server = await startS3Server();
    try {
      server.createBucket('bucket');
      const settings = {
        SYNC_AGENT_REMOTE: 's3://bucket/prefix',
        SYNC_AGENT_S3_ENDPOINT: server.endpoint,
        AWS_ACCESS_KEY_ID: server.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
      };
      const writable = await run('doctor --s3-checksums when_supported', settings);
      expect(writable).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/server refuses damaged/) as string,
      });
      server.setFault(({ operation }) =>
        operation === 'PutObject' ? { type: 'status', status: 403, code: 'AccessDenied' } : undefined,
      );
      const readOnly = await run('doctor', settings);
      expect(readOnly).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/warn {2}write .*can restore/) as string,
      });
    } finally {
      await server.close();
    }
  });

  it('status follows the store', async () => {
    expect(await json('status')).toMatchObject({ relation: 'empty-remote', store: { adapter: 'sqlite' } });
    await run('backup');
    expect(await json('status')).toMatchObject({ relation: 'up-to-date', remote: { snapshots: 1 } });
    writeRecords(1);
    expect(await json('status')).toMatchObject({ relation: 'changed' });
  });
});

describe('what every command does', () => {
  it('errors are one JSON document with --json, with the exit code', async () => {
    for (const [line, exitCode, code] of [
      ['show 1999', 3, 'NOT_FOUND'],
      ['backup --forec', 2, 'USAGE'],
      ['list --keep 0', 2, 'USAGE'],
    ] as const) {
      const result = await run(`${line} --json`);
      expect(result.exitCode).toBe(exitCode);
      expect(JSON.parse(result.stdout)).toMatchObject({
        error: { code, exitCode, message: expect.any(String) as string },
      });
    }
  });

  it('no stack trace is shown but with --debug', async () => {
    expect((await run('show 1999')).stderr).not.toMatch(/\n\s+at /);
    expect((await run('show 1999 --debug')).stderr).toMatch(/\n\s+at /);
  });

  it('an unknown flag, variable or config key is exit code 2 with the right one', async () => {
    expect(await run('backup --forec')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/"--force"/) as string,
    });
    const variable = await run('list', { SYNC_AGENT_REMOT: 'x' });
    expect(variable).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/"SYNC_AGENT_REMOTE"/) as string,
    });
    writeFileSync(join(cwd, 'sync-agent.config.json'), JSON.stringify({ kep: 1 }));
    expect(await run('list')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/"keep"/) as string,
    });
  });

  it('an error in a configuration that asks for JSON is JSON', async () => {
    writeFileSync(join(cwd, 'sync-agent.config.json'), JSON.stringify({ json: true, kep: 1 }));
    const { stdout, exitCode } = await run('list');
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'USAGE', exitCode: 2 } });
  });

  it('settings come from flags over environment over file', async () => {
    const file = join(cwd, 'conf', 'my.json');
    mkdirSync(join(cwd, 'conf'));
    writeFileSync(
      file,
      JSON.stringify({ remote: 'file:../from-file', store: '../chroma', host: 'file', keep: 1 }),
    );
    await run(`backup --config ${file} --host flag`, { SYNC_AGENT_REMOTE: '', SYNC_AGENT_HOST: 'env' });
    expect(existsSync(join(cwd, 'from-file', 'commits'))).toBe(true);
    const { stdout } = await run(`show latest --json --config ${file}`, { SYNC_AGENT_REMOTE: '' });
    expect(JSON.parse(stdout)).toMatchObject({ host: 'flag' });
  });

  it('without a remote both forms are shown', async () => {
    const { stderr, exitCode } = await run('backup', { SYNC_AGENT_REMOTE: '' });
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/--remote s3:\/\/bucket\/prefix or file:\/\/\/directory/);
  });

  it('--quiet is silent about what went well, and answers questions still', async () => {
    expect(await run('backup --quiet')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect((await run('list --quiet')).stdout).toMatch(/host-a/);
  });

  it('help and version come on stdout', async () => {
    expect(await run('--version')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
    });
    expect(await run('restore --help')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/--on-error/) as string,
    });
  });

  it('a reader that has seen enough is no error', async () => {
    await run('backup');
    const cli = startCli(['show', 'latest'], { cwd, env: env() });
    cli.child.stdout?.destroy();
    expect(await cli.done).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('a second agent on one store is told who has it, exit code 8; Ctrl-C ends the first with 130 and cleans up', async () => {
    const database = open();
    database.exec('BEGIN EXCLUSIVE');
    try {
      const first = startCli(['backup', '--capture-timeout', '100s'], { cwd, env: env() });
      await expect
        .poll(() => existsSync(join(cwd, '.chroma.sync-agent', 'lock.json')), { timeout: 90_000 })
        .toBe(true);
      const second = await run('backup');
      expect(second).toMatchObject({
        exitCode: 8,
        stderr: expect.stringMatching(/sync-agent backup \(pid \d+/) as string,
      });
      first.child.kill('SIGINT');
      expect(await first.done).toMatchObject({
        exitCode: 130,
        stderr: expect.stringMatching(/Interrupted/) as string,
      });
    } finally {
      database.close();
    }
    expect(existsSync(join(cwd, '.chroma.sync-agent', 'staging'))).toBe(false);
    expect((await run('backup')).exitCode).toBe(0);
  });
});
