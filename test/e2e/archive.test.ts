import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { buildCli } from '../support/built-cli.ts';
import { runCli, startCli } from '../support/cli.ts';
import type { CliResult } from '../support/cli.ts';
import { readDocument } from '../support/documents.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { keys, startOnTerminal, terminalMissing } from '../support/terminal.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'sync-agent-archive-')));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let cwd = '';
let number = 0;
beforeEach(() => {
  cwd = join(root, String((number += 1)));
  unpackFixture('chroma-1-b', join(cwd, 'chroma'));
});

const archive = (words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> =>
  runCli(['archive', '--store', './chroma', ...words], { cwd, env });
const resultOf = ({ stdout, stderr }: CliResult): unknown => {
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
};

describe('sync-agent archive', () => {
  it('does what docs/commands.md prints, without a remote', () => {
    const section = /^## `archive`\n(.*?)^## /ms.exec(readDocument('docs/commands.md'))?.[1] ?? '';
    const [block = ''] = [...section.matchAll(/^```bash\n(.*?)^```/gms)].map(([, text]) => text ?? '');
    expect(block.trim().split('\n')).toHaveLength(4);
    mkdirSync(join(cwd, 'bin'));
    const script = `#!/bin/sh\nexec ${process.execPath} ${buildCli()} "$@"\n`;
    writeFileSync(join(cwd, 'bin', 'sync-agent'), script, { mode: 0o755 });
    const output = execFileSync('bash', ['-ec', block], {
      cwd,
      env: { PATH: [join(cwd, 'bin'), process.env['PATH']].join(delimiter), SYNC_AGENT_STORE: './chroma' },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(output).toMatch(/^ARCHIVE +TAKEN/);
    expect(output).toMatch(/records +201\n/);
    expect(output).toMatch(/^Restored .*\/archives\/chroma_[0-9]{8}_[0-9]{6}\.zip$/m);
    expect(readdirSync(join(cwd, '.chroma.sync-agent', 'rollback'))).toHaveLength(1);
  });

  it('takes a password from a file or the variable, and never says it', async () => {
    const password = 'correct-horse-battery';
    writeFileSync(join(cwd, 'password'), `${password}\n`);
    const made = await archive(['--to', 'a.zip', '--password-file', 'password', '--json', '--verbose']);
    expect(resultOf(made)).toMatchObject({ isEncrypted: true, records: 201 });
    const without = await archive(['restore', 'a.zip']);
    expect(without).toMatchObject({
      exitCode: 7,
      stderr: expect.stringContaining('it is encrypted') as string,
    });
    const opened = await archive(['restore', 'a.zip', '--json'], { SYNC_AGENT_ARCHIVE_PASSWORD: password });
    expect(resultOf(opened)).toMatchObject({
      type: 'restored',
      lineage: 'unknown',
      records: 201,
    });
    const listed = await archive(['list', '.', '--json']);
    expect(resultOf(listed)).toMatchObject({ archives: [{ isEncrypted: true, files: 25 }] });
    for (const { stdout, stderr } of [made, without, opened, listed])
      expect(stdout + stderr).not.toContain(password);
  });

  it('of a damaged store exits with 5 and writes nothing', async () => {
    const database = join(cwd, 'chroma', 'chroma.sqlite3');
    writeFileSync(database, Buffer.alloc(readFileSync(database).length, 1));
    expect(await archive(['--to', 'a.zip'])).toMatchObject({ exitCode: 5 });
    expect(existsSync(join(cwd, 'a.zip'))).toBe(false);
  });

  it('of a snapshot needs a remote, and says so', async () => {
    expect(await archive(['latest', '--to', 'a.zip'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('Cannot work without a remote') as string,
    });
    const remote = `file://${join(cwd, 'remote')}`;
    await runCli(['backup', '--store', './chroma', '--remote', remote], { cwd });
    const made = await archive(['~0', '--to', 'a.zip', '--remote', remote, '--json']);
    expect(resultOf(made)).toMatchObject({ source: 'snapshot', records: 201 });
    const restored = await archive(['restore', 'a.zip', '--remote', remote, '--json']);
    expect(resultOf(restored)).toMatchObject({ lineage: 'equal' });
  });

  it('that is killed while it restores leaves the store, and an open operation in the log', async () => {
    const big = join(cwd, 'chroma', 'big.bin');
    writeFileSync(big, randomBytes(24 * 1024 * 1024));
    await archive(['--to', 'a.zip']);
    writeFileSync(big, 'written since');
    const { child, done } = startCli(['archive', '--store', './chroma', 'restore', 'a.zip'], { cwd });
    const dir = join(cwd, '.chroma.sync-agent', 'operations');
    const hasBegun = (): boolean =>
      existsSync(dir) &&
      readdirSync(dir).some((name) => readFileSync(join(dir, name), 'utf8').includes('"begin"'));
    while (!hasBegun()) await new Promise((resolve) => setTimeout(resolve, 2));
    child.kill('SIGKILL');
    expect((await done).exitCode).toBeNull();
    const log = await runCli(['log', '--store', './chroma', '--json'], { cwd });
    expect(resultOf(log)).toMatchObject({ operations: [{ operation: 'restore-archive', state: 'open' }] });
    await runCli(['rollback', '--store', './chroma'], { cwd });
    expect(readFileSync(big, 'utf8')).toBe('written since');
    expect(await archive(['restore', 'a.zip'])).toMatchObject({ exitCode: 0 });
  });

  it.each([
    [['--to', 'a.zip', 'latest', 'b.zip', '--remote', 'file:///nowhere'], "the archive's place is --to"],
    [[], 'Add --to'],
    [['restore', 'a.zip', '--max-backups', '2'], 'Cannot use --max-backups with "archive restore"'],
    [['restore', 'a.zip', '--to', 'x', '--force'], 'Cannot use --force with --to'],
    [['--to', 'a.zip', '--max-backups', '0'], 'Cannot use --max-backups'],
  ] as const)('%j is a USAGE error', async (words, complaint) => {
    const { exitCode, stderr } = await archive(words);
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(complaint)]);
  });
});

describe.skipIf(terminalMissing() !== undefined)('sync-agent archive restore on a terminal', () => {
  it('asks before it replaces a store, and takes no for an answer', async () => {
    await archive(['--to', 'a.zip']);
    writeFileSync(join(cwd, 'chroma', 'note.txt'), 'written since');
    const start = (...words: readonly string[]): ReturnType<typeof startOnTerminal> =>
      startOnTerminal(
        [process.execPath, buildCli(), 'archive', 'restore', 'a.zip', '--store', './chroma', ...words],
        {
          cwd,
          env: { PATH: process.env['PATH'] ?? '', HOME: cwd },
        },
      );
    const refused = start();
    await refused.answer('Replace', keys.enter);
    const { exitCode, screen } = await refused.done;
    expect(screen).toContain('nothing was changed');
    expect(exitCode).toBe(130);
    expect(existsSync(join(cwd, 'chroma', 'note.txt'))).toBe(true);
    const agreed = start();
    await agreed.answer('Replace', 'y');
    expect((await agreed.done).exitCode).toBe(0);
    expect(existsSync(join(cwd, 'chroma', 'note.txt'))).toBe(false);
    writeFileSync(join(cwd, 'chroma', 'note.txt'), 'written since');
    expect((await start('--yes').done).exitCode).toBe(0);
    expect(existsSync(join(cwd, 'chroma', 'note.txt'))).toBe(false);
  });
});
