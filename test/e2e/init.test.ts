import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { buildCli } from '../support/built-cli.ts';
import { runCli } from '../support/cli.ts';
import type { CliResult } from '../support/cli.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { startS3Server } from '../support/s3-server.ts';
import { keys, startOnTerminal, terminalMissing } from '../support/terminal.ts';
import type { OnTerminal } from '../support/terminal.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'sync-agent-init-')));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let cwd = '';
let backup = '';
let number = 0;

/** A project as `npm install sync-agent` leaves it, with a store of Chroma in `data/vectors`. */
beforeEach(() => {
  number += 1;
  cwd = join(root, String(number), 'app');
  backup = join(root, String(number), 'backup');
  mkdirSync(join(cwd, 'node_modules/.bin'), { recursive: true });
  symlinkSync(buildCli(), join(cwd, 'node_modules/.bin/sync-agent'));
  execFileSync('chmod', ['+x', buildCli()]);
  writeFileSync(join(cwd, 'package.json'), packageText);
  unpackFixture('chroma-1-a', join(cwd, 'data/vectors'));
});

const packageText = `{
    "name": "@acme/shop",
    "files": ["a", "b"],
    "scripts": {
        "start": "ls data/vectors",
        "test": "true"
    },
    "dependencies": { "sync-agent": "*" }
}
`;

const read = (name: string): string => readFileSync(join(cwd, name), 'utf8');
const run = (...args: string[]): Promise<CliResult> => runCli(args, { cwd, env: {} });
const remoteUrl = () => `file://${backup}`;
/** What is in the project besides what every test puts there. */
const added = (): string[] =>
  readdirSync(cwd).filter((name) => !['data', 'node_modules', 'package.json'].includes(name));

function npm(...args: string[]): string {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(SYNC_AGENT_|npm_)/i.test(name));
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    env: { ...Object.fromEntries(inherited), npm_config_offline: 'true' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** The disk is lost; what was written is all that is left of the setup. */
async function expectRestoreAtStart(): Promise<void> {
  expect(await run('backup')).toMatchObject({ exitCode: 0 });
  rmSync(join(cwd, 'data'), { recursive: true });
  mkdirSync(join(cwd, 'data'));
  expect(npm('start')).toContain('chroma.sqlite3');
}

describe('init without questions', () => {
  it('sets up what a start then restores from', async () => {
    const result = await run(
      'init',
      '--yes',
      '--remote',
      remoteUrl(),
      '--keep',
      '48',
      '--s3-force-path-style',
    );
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(read('sync-agent.config.json'))).toEqual({
      store: './data/vectors',
      remote: remoteUrl(),
      keep: 48,
      s3: { forcePathStyle: true },
    });
    expect(read('package.json')).toBe(
      packageText.replace('"start"', '"prestart": "sync-agent restore",\n        "start"'),
    );
    expect(added()).toEqual(['sync-agent.config.json']);
    await expectRestoreAtStart();
  });

  it('asks nothing where there is no terminal, and says what is missing', async () => {
    const { exitCode, stderr } = await run('init');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('--remote');
    expect(added()).toEqual([]);
  });

  it('prints one JSON document, and does not find the directory of snapshots the second time', async () => {
    const inside = `file://${join(cwd, 'snapshots')}`;
    const first = await run('init', '--json', '--remote', inside, '--config-in', 'package', '--no-prestart');
    expect(JSON.parse(first.stdout)).toMatchObject({
      type: 'initialised',
      store: join(cwd, 'data/vectors'),
      config: join(cwd, 'package.json'),
      prestart: 'none',
      written: [join(cwd, 'package.json')],
      doctor: { checks: expect.any(Array) as unknown },
    });
    expect(JSON.parse(read('package.json'))).toMatchObject({
      syncAgent: { store: './data/vectors', remote: 'file:./snapshots' },
    });
    await run('backup');
    writeFileSync(join(cwd, 'package.json'), packageText);
    expect(await run('init', '--json', '--remote', inside)).toMatchObject({ exitCode: 0 });
  });

  it('leaves a config that is there alone, and changes it with --force', async () => {
    const before = '{"keep": 7}';
    writeFileSync(join(cwd, 'sync-agent.config.json'), before);
    expect(await run('init', '--yes', '--remote', remoteUrl())).toMatchObject({ exitCode: 10 });
    expect(read('sync-agent.config.json')).toBe(before);
    expect(await run('init', '--yes', '--remote', remoteUrl(), '--force')).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(read('sync-agent.config.json'))).toMatchObject({ keep: 7, store: './data/vectors' });
  });

  it('writes nothing when the remote does not work, unless it is not tried', async () => {
    const broken = 'file:///dev/null/backup';
    const failed = await run('init', '--yes', '--remote', broken);
    expect(failed.exitCode).not.toBe(0);
    expect(failed.stderr).toMatch(/FAIL {2}\w+[^]*--skip-doctor/);
    expect([added(), read('package.json')]).toEqual([[], packageText]);
    expect(await run('init', '--yes', '--remote', broken, '--skip-doctor')).toMatchObject({ exitCode: 0 });
    expect(added()).toEqual(['sync-agent.config.json']);
  });

  it('keeps the link, the mode and the line ends of package.json', async () => {
    const target = join(cwd, '../real.json');
    const text = packageText.replaceAll('\n', '\r\n');
    renameSync(join(cwd, 'package.json'), target);
    writeFileSync(target, text, { mode: 0o640 });
    execFileSync('chmod', ['640', target]);
    symlinkSync('../real.json', join(cwd, 'package.json'));
    expect(await run('init', '--yes', '--remote', remoteUrl())).toMatchObject({ exitCode: 0 });
    expect(lstatSync(join(cwd, 'package.json')).isSymbolicLink()).toBe(true);
    expect(statSync(target).mode & 0o777).toBe(0o640);
    expect(readFileSync(target, 'utf8')).toBe(
      text.replace('"start"', '"prestart": "sync-agent restore",\r\n        "start"'),
    );
  });

  it('tries an S3 server with the credentials of the environment, and writes how to reach it', async () => {
    const server = await startS3Server();
    try {
      server.createBucket('bucket');
      const flags = ['--yes', '--remote', 's3://bucket/shop', '--s3-endpoint', server.endpoint];
      const env = { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_REGION: 'us-east-1' };
      const wrong = { ...env, AWS_SECRET_ACCESS_KEY: 'not-the-secret' };
      expect(await runCli(['init', ...flags], { cwd, env: wrong })).toMatchObject({ exitCode: 7 });
      expect(added()).toEqual([]);
      const right = { ...env, AWS_SECRET_ACCESS_KEY: server.secretAccessKey };
      const fine = await runCli(['init', ...flags], { cwd, env: right });
      expect(fine).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('~/.aws') as string });
      expect(JSON.parse(read('sync-agent.config.json'))).toMatchObject({ s3: { endpoint: server.endpoint } });
      expect(await runCli(['backup'], { cwd, env: right })).toMatchObject({ exitCode: 0 });
    } finally {
      await server.close();
    }
  });

  it('never writes a credential, and refuses one that stands in an answer', async () => {
    const secret = 'wJalrXUtnFEMI';
    const runs = [
      ['--remote', `s3://key:${secret}@bucket/x`],
      ['--remote', 's3://bucket/x', '--s3-endpoint', `http://key:${secret}@127.0.0.1:1`],
      ['--remote', 's3://bucket/x', '--http-token', `${secret}${secret}`],
      ['--remote', 's3://bucket/x', '--hook-after-backup', `http://key:${secret}@127.0.0.1:1/x`],
    ];
    for (const flags of runs) {
      const { exitCode, stdout, stderr } = await run('init', '--yes', '--skip-doctor', ...flags);
      expect(exitCode).toBe(2);
      expect(stdout + stderr).not.toContain(secret);
    }
    const env = { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: secret };
    const fine = await runCli(['init', '--yes', '--skip-doctor', '--remote', 's3://bucket/x'], { cwd, env });
    expect(fine.exitCode).toBe(0);
    expect(read('sync-agent.config.json') + read('package.json') + fine.stdout).not.toContain(secret);
  });
});

const missing = terminalMissing();
describe.skipIf(missing !== undefined)(
  `init on a terminal${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    const start = (...args: string[]): OnTerminal =>
      startOnTerminal([process.execPath, buildCli(), 'init', ...args], {
        cwd,
        env: { PATH: process.env['PATH'] ?? '', HOME: cwd },
      });
    const { enter, down, ctrlC } = keys;

    it('asks, tries, shows, writes, and a start then restores from it', async () => {
      const terminal = start();
      await terminal.answer('Which directory should be backed up?', enter);
      await terminal.answer('Where should snapshots be stored?', down + down + down + enter);
      await terminal.answer('Which directory? Preferably on another disk', backup + enter);
      await terminal.answer('Where should the configuration be written?', down + enter);
      await terminal.answer('Restore before each "npm start"', enter);
      await terminal.answer('Write these changes?', enter);
      const { exitCode, screen } = await terminal.done;
      expect({ exitCode, screen }).toMatchObject({ exitCode: 0 });
      expect(screen).toContain('./data/vectors (chroma, 395 KiB)');
      expect(screen).toContain('chroma, sound, 141 records');
      expect(screen).toMatch(/Next steps[^]*npx sync-agent backup/);
      expect(JSON.parse(read('package.json'))).toMatchObject({
        files: ['a', 'b'],
        scripts: { prestart: 'sync-agent restore' },
        syncAgent: { store: './data/vectors', remote: remoteUrl() },
      });
      await expectRestoreAtStart();
    });

    it('asks only what flags did not say, and changes answers that do not work', async () => {
      const terminal = start(
        '--remote',
        'file:///dev/null/x',
        '--config-in',
        'file',
        '--no-prestart',
        '--store',
        'data/vectors',
      );
      await terminal.answer('A check failed. What now?', enter);
      await terminal.answer('Which directory should be backed up?', enter);
      await terminal.answer('Where should snapshots be stored?', enter);
      await terminal.answer('Which directory? Preferably on another disk', '\u0015' + backup + enter);
      await terminal.answer('Write these changes?', enter);
      expect(await terminal.done).toMatchObject({ exitCode: 0 });
      expect(JSON.parse(read('sync-agent.config.json'))).toMatchObject({ remote: remoteUrl() });
      expect(read('package.json')).toBe(packageText);
    });

    it('ends with 130 and nothing written on Ctrl-C, early and at the last question', async () => {
      const early = start();
      await early.answer('Which directory should be backed up?', ctrlC);
      expect(await early.done).toMatchObject({ exitCode: 130 });
      const late = start('--remote', remoteUrl(), '--store', 'data/vectors', '--config-in', 'file');
      await late.answer('Restore before each "npm start"', enter);
      await late.answer('Write these changes?', ctrlC);
      expect(await late.done).toMatchObject({ exitCode: 130 });
      expect([added(), read('package.json')]).toEqual([[], packageText]);
    });

    it('does not touch a config that is there until told to', async () => {
      writeFileSync(join(cwd, 'sync-agent.config.json'), '{"keep": 7}');
      const terminal = start('--remote', remoteUrl());
      await terminal.answer('already has a config. Change it?', enter);
      expect(await terminal.done).toMatchObject({ exitCode: 10 });
      expect(read('sync-agent.config.json')).toBe('{"keep": 7}');
      expect(existsSync(backup)).toBe(false);
    });
  },
);
