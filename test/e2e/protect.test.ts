import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OperationRecord } from '../../src/home/operations/records.ts';
import { runCli, startCli } from '../support/cli.ts';
import type { CliResult } from '../support/cli.ts';
import { unpackFixture } from '../support/fixtures.ts';

let root = '';
let store = '';
let place: readonly string[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'protect-'));
  store = join(root, 'store');
  place = ['--store', store, '--remote', `file://${root}/remote`];
  await mkdir(store);
  await writeFile(join(store, 'a'), 'one');
});
afterEach(() => rm(root, { recursive: true }));

const sync = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> => {
  const at = args.includes('--') ? args.indexOf('--') : args.length;
  return runCli([...args.slice(0, at), ...place, ...args.slice(at)], { cwd: root, env });
};
const log = async (): Promise<readonly OperationRecord[]> =>
  (JSON.parse((await sync(['log', '--json'])).stdout) as { operations: readonly OperationRecord[] })
    .operations;
const snapshots = async (): Promise<readonly { id: string; pin?: { reason: string } }[]> =>
  (JSON.parse((await sync(['list', '--json'])).stdout) as { snapshots: [] }).snapshots;

describe('sync-agent protect', () => {
  it('makes a snapshot, runs the command with its own output, and checks the store after it', async () => {
    const done = await sync([
      'protect',
      'recreate',
      '--risky',
      '--',
      'sh',
      '-c',
      'echo two >store/a; echo said',
    ]);
    expect(done).toEqual({ exitCode: 0, stdout: 'said\n', stderr: '' });
    expect(await snapshots()).toMatchObject([{ pin: { reason: 'before "recreate"' } }]);
    expect(await log()).toMatchObject([
      { operation: 'protect', name: 'recreate', state: 'done', isSound: true, program: 'sync-agent protect' },
      { operation: 'backup', outcome: 'committed' },
    ]);
    expect((await sync(['log', '--since', '1h'])).stdout).toContain('protect recreate');
  });

  it('passes the exit code of the command on, says how to go back, and goes back if asked to', async () => {
    const kept = await sync(['protect', 'x', '--', 'sh', '-c', 'echo two >store/a; exit 3']);
    expect(kept).toMatchObject({ exitCode: 3, stdout: '' });
    const [{ id } = { id: '' }] = await snapshots();
    expect(kept.stderr).toContain(`sync-agent restore --snapshot ${id} --store ${store}`);
    expect(await readFile(join(store, 'a'), 'utf8')).toBe('two\n');
    const args = ['protect', 'x', '--on-failure', 'restore', '--', 'sh', '-c', 'echo three >store/a; exit 4'];
    expect(await sync(args)).toMatchObject({ exitCode: 4 });
    expect(await readFile(join(store, 'a'), 'utf8')).toBe('two\n');
    const missing = await sync(['protect', 'x', '--', 'no-such-program']);
    expect(missing.exitCode).toBe(127);
    expect(missing.stderr).toContain('Cannot start "no-such-program"');
  });

  it('does not start the command if the snapshot cannot be made', async () => {
    await rm(store, { recursive: true });
    const done = await sync(['protect', 'x', '--', 'touch', join(root, 'started')]);
    expect(done.exitCode).toBe(3);
    expect(done.stderr).toContain('Cannot begin "x"');
    expect(await readdir(root)).not.toContain('started');
  });

  it('hands signals to the command, and its end by one on', async () => {
    const script = 'trap "echo stopping >&2; exit 7" TERM; echo ready; while :; do sleep 0.05; done';
    const running = startCli(['protect', 'x', ...place, '--', 'sh', '-c', script], { cwd: root });
    await running.saw(/ready/);
    running.child.kill('SIGTERM');
    expect(await running.done).toMatchObject({
      exitCode: 7,
      stderr: expect.stringContaining('stopping') as string,
    });
    expect(await sync(['protect', 'y', '--', 'sh', '-c', 'kill -TERM $$'])).toMatchObject({ exitCode: 143 });
    expect((await log()).at(-1)).toMatchObject({ state: 'failed', isSound: true });
  });

  it('that is killed is open in the log, and is named when damage is found', async () => {
    unpackFixture('chroma-1-a', store);
    const header = join(
      store,
      (await readdir(store, { recursive: true })).find((path) => path.endsWith('header.bin')) ?? '',
    );
    const script = `head -c 40 /dev/zero | dd of="${header}" conv=notrunc 2>/dev/null; echo "pid $$"; exec sleep 60`;
    const running = startCli(['protect', 'recreate', '--risky', ...place, '--', 'sh', '-c', script], {
      cwd: root,
    });
    let output = '';
    running.child.stdout?.on('data', (text: string) => (output += text));
    await running.saw(/pid \d+/);
    running.child.kill('SIGKILL');
    process.kill(Number(/pid (\d+)/.exec(output)?.[1]), 'SIGKILL');
    await running.done;
    expect(await log()).toMatchObject([{ operation: 'protect', state: 'open' }, { operation: 'backup' }]);
    expect((await sync(['log'])).stdout).toContain('did not finish');
    for (const command of ['check', 'restore']) {
      const { exitCode, stderr } = await sync([command]);
      expect(exitCode, command).toBe(5);
      expect(stderr).toMatch(
        /may have appeared during "recreate" \(protect\), which did not finish: begun 2/,
      );
    }
    const [{ id } = { id: '' }] = await snapshots();
    expect((await sync(['restore', '--snapshot', id])).exitCode).toBe(0);
    expect((await sync(['check'])).exitCode).toBe(0);
  });

  it('works beside a running agent, and inside another one', async () => {
    const watch = startCli(
      ['watch', '--interval', '1s', '--settle', '50ms', '--poll-interval', '1s', ...place],
      { cwd: root },
    );
    await watch.saw(/[Ww]atching/);
    const inner = (name: string) => [
      '--',
      'sh',
      '-c',
      `echo ${name} >store/${name}; "$NODE" "$BIN" protect in-${name} ${place.join(' ')} -- sh -c 'echo x >>store/${name}'`,
    ];
    const { buildCli } = await import('../support/built-cli.ts');
    const env = { NODE: process.execPath, BIN: buildCli() };
    const runs = ['b', 'c', 'd'].map((name) => sync(['protect', name, '--risky', ...inner(name)], env));
    for (const run of await Promise.all(runs)) expect(run).toMatchObject({ exitCode: 0 });
    watch.child.kill('SIGTERM');
    expect((await watch.done).exitCode).toBe(0);
    const records = await log();
    const outer = new Map(
      records.filter(({ name }) => /^[bcd]$/.test(name ?? '')).map(({ name, id }) => [name, id]),
    );
    const nested = records.filter(({ name }) => name?.startsWith('in-'));
    expect(nested).toHaveLength(3);
    for (const { name, within } of nested) expect(within).toBe(outer.get(name?.slice(3)));
    expect(
      records.filter(({ program, state }) => program === 'sync-agent protect' && state !== 'done'),
    ).toEqual([]);
    expect(records.some(({ program }) => program === 'sync-agent watch')).toBe(true);
    expect((await sync(['backup'])).stdout).toContain('Nothing changed');
  });
});
