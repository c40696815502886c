import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildProgram } from '../support/built-program.ts';
import type { SupervisedScript } from '../support/supervised.ts';

let program = '';
let directory = '';
beforeAll(async () => {
  program = await buildProgram('supervised.ts');
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sync-agent-run-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('sync-agent run', () => {
  it('gives the command its arguments, stdin and stdout, and exits with its code', async () => {
    const run = start([
      '--verbose',
      '--',
      'sh',
      '-c',
      'cat; echo "$@"; exit 7',
      'sh',
      '--json',
      '--version',
      '-h',
      '--',
      '--store',
    ]);
    run.child.stdin.end('from stdin\n');
    expect(await run.done).toMatchObject({
      exitCode: 7,
      stdout: 'from stdin\n--json --version -h -- --store\n',
      stderr: '',
    });
    expect(run.log()).toEqual([
      'restore',
      'restored',
      'start',
      { type: 'command-started', pid: expect.any(Number) as number, command: 'sh' },
      { type: 'command-exited', exitCode: 7, signal: null, isExpected: false },
      { type: 'stopping', reason: 'command-exit' },
      'stop command-exit',
      { type: 'stopped', isSaved: true, unsavedSinceMs: null },
    ]);
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGQUIT'] as const)(
    'passes %s on, and saves after the command has ended',
    async (name) => {
      const run = start(['--', ...listener([name])]);
      await run.saw('ready');
      run.child.kill(name);
      expect(await run.done).toMatchObject({ exitCode: 40, stdout: `ready\n${name}\n` });
      expect(run.log().slice(-4)).toEqual([
        { type: 'stopping', reason: name },
        { type: 'command-exited', exitCode: 40, signal: null, isExpected: true },
        'stop shutdown',
        { type: 'stopped', isSaved: true, unsavedSinceMs: null },
      ]);
    },
  );

  it('passes on signals that ask for nothing of it, SIGUSR1 without starting a debugger', async () => {
    const names = ['SIGUSR1', 'SIGUSR2', 'SIGHUP', 'SIGWINCH'] as const;
    for (const name of names) {
      const run = start(['--', ...listener([name])]);
      await run.saw('ready');
      run.child.kill(name);
      expect(await run.done).toEqual({ exitCode: 40, stdout: `ready\n${name}\n`, stderr: '' });
    }
  });

  it.each([
    ['SEGV', 139],
    ['TERM', 143],
    ['KILL', 137],
  ])('exits as a shell does after a command that SIG%s killed: %i', async (name, exitCode) => {
    const run = start(['--', 'sh', '-c', `kill -${name} $$`]);
    expect(await run.done).toMatchObject({ exitCode });
    expect(run.log()).toContainEqual({
      type: 'command-exited',
      exitCode: null,
      signal: `SIG${name}`,
      isExpected: false,
    });
    expect(run.log()).toContain('stop command-exit');
  });

  it('kills a command that ignores it, within the budget', async () => {
    const run = start([
      '--shutdown-budget',
      '3s',
      '--',
      'sh',
      '-c',
      'trap "" TERM; echo ready; while :; do sleep 0.1; done',
    ]);
    await run.saw('ready');
    const asked = performance.now();
    run.child.kill('SIGTERM');
    expect(await run.done).toMatchObject({ exitCode: 137 });
    const took = performance.now() - asked;
    console.log(`a budget of 3000 ms took ${took.toFixed(0)} ms`);
    expect(took).toBeGreaterThan(1800);
    expect(took).toBeLessThan(3700);
    // Beside it, and again after it was killed.
    expect(run.log().filter((line) => line === 'stop shutdown')).toHaveLength(2);
  });

  it('exits within the budget although the final backup hangs, and says what is not saved', async () => {
    const run = start(['--shutdown-budget', '2s', '--', ...listener(['SIGTERM'])], { stopMs: 60_000 });
    await run.saw('ready');
    const asked = performance.now();
    run.child.kill('SIGTERM');
    expect(await run.done).toMatchObject({
      exitCode: 40,
      stderr: expect.stringMatching(/WARNING: Writes at the end are in no snapshot/) as string,
    });
    expect(performance.now() - asked).toBeLessThan(3000);
  });

  it('says since when it is not saved, and keeps the exit code', async () => {
    const run = start(['--', 'true'], { isSaved: false });
    expect(await run.done).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('since 2026-11-21T00:00:00.000Z') as string,
    });
  });

  it.each([
    ['there-is-no-such-program', 127, /Cannot start "there-is-no-such-program": there is no such program/],
    ['/etc/passwd', 126, /Cannot start "\/etc\/passwd"/],
  ])('that cannot start %s exits with %i', async (command, exitCode, message) => {
    const result = await start(['--', command]).done;
    expect(result).toMatchObject({ exitCode, stdout: '', stderr: expect.stringMatching(message) as string });
    const { stdout } = await start(['--json', '--', command]).done;
    expect(JSON.parse(stdout)).toMatchObject({
      error: { exitCode, message: expect.stringMatching(message) as string },
    });
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s during the restore ends it: exit code %i, no command', async (name, exitCode) => {
    const run = start(['--', 'touch', join(directory, 'ran')], { restoreMs: 60_000 });
    await run.logged('restore');
    run.child.kill(name);
    expect(await run.done).toMatchObject({ exitCode });
    expect(existsSync(join(directory, 'ran'))).toBe(false);
  });

  it('does not start the command after a restore that failed, and exits with its code', async () => {
    const run = start(['--', 'touch', join(directory, 'ran')], { restoreError: 'SNAPSHOT_CORRUPT' });
    expect(await run.done).toMatchObject({ exitCode: 5 });
    expect(existsSync(join(directory, 'ran'))).toBe(false);
  });

  it.each([
    [['--on-error', 'continue'], 'REMOTE_UNREACHABLE', 0],
    [['--on-error', 'continue'], 'DIVERGED', 0],
    [['--on-error', 'continue'], 'SNAPSHOT_CORRUPT', 5],
    [[], 'REMOTE_UNREACHABLE', 6],
    [[], 'DIVERGED', 4],
    [['--no-restore'], 'REMOTE_UNREACHABLE', 0],
  ] as const)('with %j and %s exits with %i', async (flags, restoreError, exitCode) => {
    const run = start([...flags, '--', 'sh', '-c', 'echo started'], { restoreError });
    expect(await run.done).toMatchObject({ exitCode, stdout: exitCode === 0 ? 'started\n' : '' });
  });

  it('goes on when nobody reads its messages any more', async () => {
    const run = start(['--on-error', 'continue', '--', 'sh', '-c', 'read line; exit 6'], {
      restoreMs: 300,
      restoreError: 'REMOTE_UNREACHABLE',
      isSaved: false,
    });
    run.child.stderr.destroy();
    run.child.stdin.end('go on\n');
    expect(await run.done).toMatchObject({ exitCode: 6 });
    expect(run.log()).toContain('stop command-exit');
  });

  it('does not leave the command behind when it dies of a defect', async () => {
    const run = start(['--', 'sh', '-c', 'sleep 2; echo survived'], { hasDefect: true });
    const { stdout, stderr, exitCode } = await run.done;
    expect(stderr).toContain('a defect');
    expect(exitCode).not.toBe(0);
    // Stdout was closed by the last process that had it.
    expect(stdout).toBe('');
  });

  it('gives a typed Ctrl-C to the command once', async () => {
    const command = [
      process.execPath,
      program,
      'run',
      '--store',
      join(directory, 'store'),
      '--remote',
      `file://${directory}/remote`,
      '--',
      ...listener(['SIGINT'], 1500),
    ];
    const terminal = spawn(
      'script',
      ['-qefc', `exec ${command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')}`, '/dev/null'],
      {
        env: {
          ...process.env,
          // Without `exec`, dash would stay, and make 130 of a Ctrl-C that its command had an answer to.
          SHELL: '/bin/sh',
          SUPERVISED: JSON.stringify({ busyMs: 300 }),
          SUPERVISED_LOG: join(directory, 'log'),
        },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    let output = '';
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (!output.includes('ready') && (output + text).includes('ready')) terminal.stdin.write('\u0003');
      output += text;
    });
    const [exitCode] = (await once(terminal, 'close')) as [number];
    expect(output.match(/SIGINT/g)).toEqual(['SIGINT']);
    expect(exitCode).toBe(40);
  });
});

/** A program that says each signal it gets and ends with 40 some time after the first. */
function listener(names: readonly NodeJS.Signals[], lingerMs = 100): readonly string[] {
  const code = `
    for (const name of ${JSON.stringify(names)}) process.on(name, () => {
      console.log(name);
      setTimeout(() => process.exit(40), ${lingerMs});
    });
    setInterval(() => {}, 1000);
    console.log('ready');`;
  return [process.execPath, '-e', code];
}

type Line = string | { readonly type: string };

function start(args: readonly string[], script: SupervisedScript = {}) {
  const logFile = join(directory, 'log');
  writeFileSync(logFile, '');
  const flags = ['--store', join(directory, 'store'), '--remote', `file://${directory}/remote`];
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(SYNC_AGENT_|NODE_OPTIONS|VITEST)/.test(name),
  );
  const child = spawn(process.execPath, [program, 'run', ...flags, ...args], {
    cwd: directory,
    env: { ...Object.fromEntries(inherited), SUPERVISED: JSON.stringify(script), SUPERVISED_LOG: logFile },
    stdio: 'pipe',
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const log = (): readonly Line[] =>
    readFileSync(logFile, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => (line.startsWith('{') ? (JSON.parse(line) as Line) : line));
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) {
      if (child.exitCode !== null) throw new Error(`It ended before: ${output.stdout}${output.stderr}`);
      await delay(10);
    }
  };
  return {
    child,
    log,
    saw: (text: string) => until(() => output.stdout.includes(text)),
    logged: (line: string) => until(() => log().includes(line)),
    done: once(child, 'close').then(([exitCode]) => ({ exitCode: exitCode as number | null, ...output })),
  };
}
