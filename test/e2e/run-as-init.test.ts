import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildProgram } from '../support/built-program.ts';
import type { SupervisedScript } from '../support/supervised.ts';

const isPossible = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status === 0;
if (!isPossible) {
  const message = 'NOT TESTED: a process 1 of its own namespace, for which unshare needs root';
  if (process.env['SYNC_AGENT_TEST_REQUIRE_ROOT'] === '1') throw new Error(message);
  console.warn(message);
}

let program = '';
let directory = '';
beforeAll(async () => {
  program = await buildProgram('supervised.ts');
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sync-agent-init-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/**
 * Leaves 20 orphans: `setsid --fork` ends at once, and its child, which waits for the end of the gate, is PID 1's. Then it opens the gate,
 * and prints how many processes of PID 1 are zombies, once none of them is left or after three seconds.
 */
const leavesOrphans = `
  gate=$(mktemp -u)
  mkfifo "$gate"
  exec 3<>"$gate"
  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do setsid --fork cat <"$gate" 3>&-; done
  rm "$gate"
  echo "orphans $(grep -l '^PPid:.1$' /proc/[0-9]*/status | wc -l)"
  exec 3>&-
  count() { cat /proc/[0-9]*/stat 2>/dev/null | grep -c "$1"; }
  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    [ "$(count '(cat) . 1 ')" = 0 ] && break
    sleep 0.1
  done
  echo "zombies $(count ') Z 1 ')"
  exit 9`;

describe.skipIf(!isPossible)('sync-agent run as process 1', () => {
  it('reaps what the command leaves behind, and exits with its code', async () => {
    const { stdout, stderr, exitCode } = await startAsInit(['sh', '-c', leavesOrphans]).done;
    expect({ stdout, stderr, exitCode }).toEqual({
      stdout: 'orphans 21\nzombies 0\n',
      stderr: '',
      exitCode: 9,
    });
  });

  it('takes no exit code from a process of its own', async () => {
    const run = startAsInit(['sh', '-c', leavesOrphans.replace('exit 9', '').repeat(3)], {
      ownChildren: 3,
    });
    expect(await run.done).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('zombies 0') as string,
    });
    const exits = run.log().filter((line) => line.startsWith('own child exited'));
    console.log(`${exits.length} processes of its own beside 60 orphans`);
    expect(new Set(exits)).toEqual(new Set(['own child exited 3']));
    expect(exits.length).toBeGreaterThan(20);
  });

  it('stops its command on SIGTERM, which process 1 gets only if it listens', async () => {
    const run = startAsInit(['sh', '-c', 'trap "exit 4" TERM; echo ready; while :; do sleep 0.05; done']);
    await run.ready;
    // `unshare` does not pass signals on; its only child is process 1 of the namespace.
    const [init] = readFileSync(`/proc/${run.child.pid}/task/${run.child.pid}/children`, 'utf8').split(' ');
    process.kill(Number(init), 'SIGTERM');
    expect(await run.done).toMatchObject({ exitCode: 4, stderr: '' });
    expect(run.log()).toContain('stop shutdown');
  });

  it('says what to do where zombies cannot be reaped', async () => {
    const run = startAsInit(['sh', '-c', leavesOrphans], {}, { withoutKoffi: true });
    const { stdout, stderr, exitCode } = await run.done;
    expect(exitCode).toBe(9);
    expect(stderr).toMatch(/^WARNING: .*zombies.*docker run --init/);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    // Which also shows that the other tests would notice.
    expect(stdout).toBe('orphans 21\nzombies 20\n');
  });
});

function startAsInit(
  command: readonly string[],
  script: SupervisedScript = {},
  { withoutKoffi = false }: { readonly withoutKoffi?: boolean } = {},
) {
  const logFile = join(directory, 'log');
  writeFileSync(logFile, '');
  const hook = join(directory, 'without-koffi.mjs');
  const resolver = `export async function resolve(name, context, next) {
    if (name === 'koffi') throw new Error('Cannot find package koffi');
    return next(name, context);
  }`;
  writeFileSync(
    hook,
    `import { register } from 'node:module';
     register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(resolver)}`)});`,
  );
  const child = spawn(
    'unshare',
    [
      '--pid',
      '--fork',
      '--mount-proc',
      '--kill-child',
      process.execPath,
      ...(withoutKoffi ? ['--import', hook] : []),
      program,
      'run',
      '--store',
      join(directory, 'store'),
      '--remote',
      `file://${directory}/remote`,
      '--',
      ...command,
    ],
    {
      cwd: dirname(program),
      env: { PATH: process.env['PATH'], SUPERVISED: JSON.stringify(script), SUPERVISED_LOG: logFile },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const output = { stdout: '', stderr: '' };
  const ready = once(child.stdout, 'data');
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  return {
    child,
    ready,
    log: () => readFileSync(logFile, 'utf8').split('\n'),
    done: once(child, 'close').then(([exitCode]) => ({ exitCode: exitCode as number | null, ...output })),
  };
}
