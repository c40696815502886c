import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli, startCli } from '../support/cli.ts';
import { startLeaseHolder } from '../support/lease-holder.ts';
import type { LeaseHolder } from '../support/lease-holder.ts';

const root = mkdtempSync(join(tmpdir(), 'sync-agent-lease-e2e-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let cwd = '';
let number = 0;
let old: LeaseHolder;
const oldStore = (): string => join(cwd, 'old');
const newStore = (): string => join(cwd, 'new');
const remote = (): string => pathToFileURL(join(cwd, 'remote')).href;

beforeEach(() => {
  cwd = join(root, String((number += 1)));
  mkdirSync(oldStore(), { recursive: true });
  write('first');
});
afterEach(() => {
  old.child.kill('SIGKILL');
});

const write = (text: string): void => writeFileSync(join(oldStore(), 'data.txt'), text);
const restored = (): string => readFileSync(join(newStore(), 'data.txt'), 'utf8');
const restoreArgs = (...more: readonly string[]): readonly string[] => [
  'restore',
  '--store',
  newStore(),
  '--remote',
  remote(),
  ...more,
];
const startOld = async (ttlMs: number): Promise<void> => {
  old = await startLeaseHolder({ store: oldStore(), remote: remote(), host: 'old-host', ttlMs });
  expect(await old.backup()).toMatchObject({ type: 'committed' });
};

describe('a newcomer that starts before the old host stops', () => {
  it('waits for its final backup, and restores that', async () => {
    await startOld(120_000);
    const status = await runCli(['status', '--json', '--store', newStore(), '--remote', remote()], { cwd });
    expect(JSON.parse(status.stdout)).toMatchObject({ lease: { host: 'old-host', epoch: 1 } });
    const newcomer = startCli(restoreArgs('--wait-for-lease', '120s'), { cwd });
    await newcomer.saw(
      /Waiting for host "old-host", which has the lease since .*: until it hands over, 2m at most/,
    );
    write('the final words');
    await old.backup();
    expect(existsSync(newStore())).toBe(false);
    expect(await old.release()).toEqual({ type: 'released' });
    const { exitCode, stderr } = await newcomer.done;
    expect(stderr).not.toContain('warning');
    expect(exitCode).toBe(0);
    expect(restored()).toBe('the final words');
  });

  it('waits for a dead one no longer than its lease lasts', async () => {
    await startOld(3000);
    old.child.kill('SIGKILL');
    await once(old.child, 'exit');
    const newcomer = await runCli(restoreArgs('--wait-for-lease', '10m', '--on-error', 'fail'), { cwd });
    expect(newcomer.exitCode).toBe(0);
    expect(restored()).toBe('first');
  });

  it('goes on without it when the time is up, or fails where that was asked for', async () => {
    await startOld(120_000);
    const failed = await runCli(restoreArgs('--wait-for-lease', '1s', '--on-error', 'fail'), { cwd });
    expect(failed.exitCode).toBe(8);
    expect(failed.stderr).toContain('host "old-host" still has the lease after 1 s');
    const supervised = ['--', process.execPath, '-e', 'console.log("started")'];
    const place = ['--store', newStore(), '--remote', remote(), '--http', 'off'];
    const refused = await runCli(
      ['run', ...place, '--wait-for-lease', '1s', '--on-error', 'fail', ...supervised],
      { cwd },
    );
    expect(refused).toMatchObject({ exitCode: 8, stdout: '' });
    expect(existsSync(newStore())).toBe(false);
    const newcomer = await runCli(restoreArgs('--wait-for-lease', '1s'), { cwd });
    expect(newcomer.exitCode).toBe(0);
    expect(newcomer.stderr).toContain('although host "old-host" still has the lease after 1 s');
    expect(restored()).toBe('first');
  });

  it('takes the lease, and what the old one writes later hides nothing', async () => {
    await startOld(120_000);
    await runCli(restoreArgs(), { cwd });
    const next = await startLeaseHolder({
      store: newStore(),
      remote: remote(),
      host: 'new-host',
      ttlMs: 120_000,
    });
    try {
      writeFileSync(join(newStore(), 'data.txt'), 'of the newcomer');
      expect(await next.backup()).toMatchObject({ type: 'committed', isFenced: false });
      expect(await old.renew()).toMatchObject({ type: 'lost', to: 'new-host' });
      write('too late, far too late');
      expect(await old.backup()).toMatchObject({ type: 'committed', isFenced: true });
      const third = join(cwd, 'third');
      const { exitCode } = await runCli(['restore', '--store', third, '--remote', remote()], { cwd });
      expect(exitCode).toBe(0);
      expect(readFileSync(join(third, 'data.txt'), 'utf8')).toBe('of the newcomer');
    } finally {
      next.child.kill('SIGKILL');
    }
  });

  it('does not wait where nobody has a lease, and --to does not wait at all', async () => {
    await startOld(120_000);
    await old.release();
    const { exitCode, stderr } = await runCli(restoreArgs('--wait-for-lease', '10m'), { cwd });
    expect(stderr).not.toContain('Waiting');
    expect(exitCode).toBe(0);
    const to = await runCli(restoreArgs('--wait-for-lease', '1s', '--to', join(cwd, 'look')), { cwd });
    expect(to.exitCode).toBe(2);
  });
});
