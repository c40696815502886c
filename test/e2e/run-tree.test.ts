import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startCli } from '../support/cli.ts';
import type { CliResult, RunningCli } from '../support/cli.ts';

let root = '';
let store = '';
const strangers: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sync-agent-tree-'));
  store = join(root, 'store');
  mkdirSync(store);
  writeFileSync(join(root, 'server.mjs'), server);
});
afterEach(() => {
  for (const child of strangers.splice(0)) child.kill('SIGKILL');
  if (existsSync(pidFile())) end(serverPid());
  rmSync(root, { recursive: true, force: true });
});

const pidFile = (): string => join(root, 'pid');
const serverPid = (): number => Number(readFileSync(pidFile(), 'utf8'));

/** Appends a line to a file of the store, which it keeps open, every 60 ms, as long as it lives; argument 4: signals to ignore. */
const server = `
  import { openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
  const [, , store, pidFile, ignored] = process.argv;
  for (const name of (ignored ?? '').split(',').filter(Boolean)) process.on(name, () => undefined);
  const file = openSync(store + '/lines', 'a');
  let lines = 0;
  setInterval(() => writeSync(file, 'line ' + (lines += 1) + '\\n'), 60);
  writeFileSync(pidFile + '.new', String(process.pid));
  renameSync(pidFile + '.new', pidFile);`;

const lines = (dir: string): number => readFileSync(join(dir, 'lines'), 'utf8').split('\n').length - 1;

describe('what sync-agent run does about processes that its command leaves behind', () => {
  const serve = (...more: string[]): string =>
    [process.execPath, 'server.mjs', store, pidFile(), ...more].map((word) => `'${word}'`).join(' ');

  const deployments: readonly (readonly [string, () => readonly string[]])[] = [
    ['a shell that waits for its server', () => ['sh', '-c', `${serve()}; echo ended`]],
    ['npm start', () => ['npm', 'start']],
    ['a shell that heeds the signal late', () => ['bash', '-c', `trap 'exit 3' TERM; ${serve()}; exit 4`]],
    ['a server in a session of its own', () => ['sh', '-c', `setsid ${serve()} & wait`]],
    [
      'a daemon whose parents are gone and whose environment was emptied',
      () => ['sh', '-c', `(setsid env -i ${serve()} &) ; exec sleep 60`],
    ],
    ['a server that ignores SIGTERM', () => ['sh', '-c', `${serve('SIGTERM')}; echo ended`]],
  ];

  it.each(deployments)(
    '%s: it is stopped before the last backup, which has all it wrote',
    async (_, argv) => {
      writeFileSync(
        join(root, 'package.json'),
        JSON.stringify({ name: 'app', version: '1.0.0', scripts: { start: serve() } }),
      );
      const run = await startServing(argv());
      run.child.kill('SIGTERM');
      const { stderr } = await run.done;
      expect(isAlive(serverPid())).toBe(false);
      expect(stderr).toContain('all that was written is saved');
      await expectSaved();
    },
  );

  it('a command that ends by itself and leaves its server: the same', async () => {
    const run = await startServing(['sh', '-c', `${serve()} & sleep 2`]);
    const { exitCode, stderr } = await run.done;
    expect(exitCode).toBe(0);
    expect(isAlive(serverPid())).toBe(false);
    expect(stderr).toContain('all that was written is saved');
    await expectSaved();
  });

  it('a program that is not of the command is left alone and named, and nothing is called saved', async () => {
    const run = start(['sleep', '60']);
    await run.saw(/Started the application/);
    const stranger = spawn(process.execPath, ['server.mjs', store, pidFile()], {
      cwd: root,
      stdio: 'ignore',
    });
    strangers.push(stranger);
    await untilServing();
    run.child.kill('SIGTERM');
    const { stderr } = await run.done;
    expect(isAlive(stranger.pid ?? 0)).toBe(true);
    expect(stderr).not.toContain('all that was written is saved');
    expect(stderr).toContain(`Process ${stranger.pid} (node) still has the store open for writing`);
  });

  it('a program that only reads the store hinders nothing', async () => {
    writeFileSync(join(store, 'lines'), 'line 1\n');
    const run = start(['sleep', '60']);
    await run.saw(/Started the application/);
    const read = `fs.openSync('lines', 'r'); console.log('open'); setInterval(() => {}, 1000)`;
    const reader = spawn(process.execPath, ['-e', read], { cwd: store, stdio: ['ignore', 'pipe', 'ignore'] });
    strangers.push(reader);
    await new Promise((resolve) => reader.stdout?.once('data', resolve));
    run.child.kill('SIGTERM');
    expect((await run.done).stderr).toContain('all that was written is saved');
  });

  it('watch says who still has the store open, and that the rest is saved', async () => {
    const watch = startCli(['watch', '--http', 'off'], { cwd: root, env: environment() });
    await watch.saw(/Started; changes are backed up/);
    const stranger = spawn(process.execPath, ['server.mjs', store, pidFile()], {
      cwd: root,
      stdio: 'ignore',
    });
    strangers.push(stranger);
    await untilServing();
    watch.child.kill('SIGTERM');
    const { exitCode, stderr } = await watch.done;
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`still open for writing in pid ${stranger.pid} (node)`);
    expect(stderr).not.toContain('all that was written is saved');
  });

  it.each(['SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const)('watch makes a last backup on %s, too', async (name) => {
    const watch = startCli(['watch', '--http', 'off', '--settle', '60s'], { cwd: root, env: environment() });
    await watch.saw(/Started; changes are backed up/);
    writeFileSync(join(store, 'lines'), 'line 1\n');
    watch.child.kill(name);
    expect(await watch.done).toMatchObject({ exitCode: 0 });
    await expectSaved();
  });

  async function startServing(argv: readonly string[]): Promise<RunningCli> {
    const run = start(argv);
    await untilServing();
    return run;
  }

  async function expectSaved(): Promise<void> {
    const copy = join(root, 'copy');
    expect(await cli('restore', '--to', copy)).toMatchObject({ exitCode: 0 });
    expect(lines(copy)).toBe(lines(store));
  }
});

const environment = (): Readonly<Record<string, string>> => ({
  SYNC_AGENT_STORE: store,
  SYNC_AGENT_REMOTE: `file://${root}/remote`,
});

const start = (argv: readonly string[]): RunningCli =>
  startCli(['run', '--http', 'off', '--shutdown-budget', '12s', '--', ...argv], {
    cwd: root,
    env: environment(),
  });

const cli = async (...args: string[]): Promise<CliResult> =>
  startCli(args, { cwd: root, env: environment() }).done;

/** It wrote, so that there is something to save. */
async function untilServing(): Promise<void> {
  while (!existsSync(pidFile()) || lines(store) < 2) await delay(10);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended, as it should.
  }
}
