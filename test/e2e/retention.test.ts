import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import type { CliResult } from '../support/cli.ts';

const root = mkdtempSync(join(tmpdir(), 'sync-agent-retention-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let cwd = '';
let number = 0;
let ids: readonly string[] = [];

const run = (...args: readonly string[]): Promise<CliResult> =>
  runCli(args, {
    cwd,
    env: { SYNC_AGENT_REMOTE: pathToFileURL(join(cwd, 'remote')).href, SYNC_AGENT_HOST: 'host-a' },
  });

async function json<T>(...args: readonly string[]): Promise<T> {
  return JSON.parse((await run(...args, '--json')).stdout) as T;
}

interface Listed {
  readonly snapshots: readonly { readonly id: string; readonly pin?: { readonly reason: string } }[];
}

const listed = async (): Promise<readonly string[]> =>
  (await json<Listed>('list')).snapshots.map(({ id }) => id);

beforeEach(async () => {
  cwd = join(root, String((number += 1)));
  mkdirSync(join(cwd, 'chroma'), { recursive: true });
  for (let index = 0; index < 4; index += 1) {
    writeFileSync(join(cwd, 'chroma', 'a'), `${index}`);
    expect((await run('backup')).exitCode).toBe(0);
  }
  ids = await listed();
  expect(ids).toHaveLength(4);
});

describe('prune', () => {
  it('--dry-run says of every snapshot why it stays, and changes nothing', async () => {
    const [a = '', b = '', c = '', d = ''] = ids;
    await run('pin', b);
    const flags = ['--keep-last', '1', '--keep-daily', '40', '--grace', '0s'];
    const { stdout, exitCode } = await run('prune', '--dry-run', ...flags);
    expect(exitCode).toBe(0);
    // All in one day, unless it is midnight: then there is a second day, whose newest stays as well.
    expect(stdout).toMatch(new RegExp(`^${a} +keep +(oldest|daily)$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^${b} +keep +pinned(, daily)?$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^${d} +keep +newest, last, daily$`, 'm'));
    const report = await json<Record<string, unknown>>('prune', '--dry-run', '--keep', '1', '--grace', '0s');
    expect(report).toEqual({
      resolved: [],
      dropped: [a, c],
      retained: [b, d],
      reasons: { [a]: [], [b]: ['pinned'], [c]: [], [d]: ['newest', 'last'] },
      objects: 0,
      isDryRun: true,
    });
    expect((await run('prune', '--dry-run', '--keep', '1', '--grace', '0s')).stdout).toMatch(
      new RegExp(
        `^${a} +would drop\\n${b} +keep +pinned\\n${c} +would drop\\n.*\\nWould drop 2 snapshots`,
        'm',
      ),
    );
    const within = await run('prune', '--dry-run', '--keep', '1', '--grace', '0s', '--keep-within', '7d');
    expect(within.stdout).toMatch(new RegExp(`^${a} +keep +keep-within$`, 'm'));
    expect(await listed()).toEqual(ids);

    expect(await json('prune', '--keep', '1', '--grace', '0s')).toMatchObject({ dropped: [a, c] });
    expect(await listed()).toEqual([b, d]);
  });
});

describe('pin', () => {
  it('is shown with its reason, outlives clear-history, and unpin takes it back', async () => {
    const [a = '', b = '', , d = ''] = ids;
    const reason = 'before the \u001b[31mmove\nto production';
    const pinned = await run('pin', a, '--reason', reason);
    const shown = 'pinned: before the \uFFFD[31mmove to production';
    expect(pinned).toMatchObject({ exitCode: 0, stderr: '', stdout: `Snapshot ${a} is ${shown}\n` });
    expect((await run('pin', a)).stdout).toBe(`Snapshot ${a} is already ${shown}\n`);
    for (const command of [['list'], ['show', a], ['status']])
      expect((await run(...command)).stdout).toContain(shown);
    expect((await run('show', b)).stdout).not.toContain('pinned');
    const [first, second] = (await json<Listed>('list')).snapshots;
    expect([first?.pin?.reason, second?.pin]).toEqual([reason, undefined]);
    expect(await json('show', a)).toMatchObject({ pin: { reason, host: 'host-a' } });
    expect(await json('status')).toMatchObject({ pins: [{ id: a, reason }] });

    expect(await json('clear-history', '--yes')).toMatchObject({
      retained: [a, d],
      reasons: { [a]: ['pinned'] },
    });
    expect((await run('status')).exitCode).toBe(0);
    expect((await run('verify', '--all', '--read-data')).exitCode).toBe(0);
    expect((await run('restore', '--snapshot', a, '--to', 'look')).exitCode).toBe(0);

    expect((await run('unpin', a)).stdout).toMatch(/no longer pinned/);
    expect((await run('unpin', a)).stdout).toMatch(/is not pinned/);
    expect((await run('list')).stdout).not.toContain('pinned');
    await run('clear-history', '--yes');
    expect(await listed()).toEqual([d]);
  });

  it('of what is not there is exit code 3, with too long a reason 2', async () => {
    expect((await run('pin', '2001')).exitCode).toBe(3);
    expect((await run('unpin', '~9')).exitCode).toBe(3);
    expect((await run('pin', 'latest', '--reason', 'x'.repeat(501))).exitCode).toBe(2);
    expect((await run('pin')).exitCode).toBe(2);
  });
});
