import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { buildCli } from '../support/built-cli.ts';
import { runCli } from '../support/cli.ts';
import { keys, startOnTerminal, terminalMissing } from '../support/terminal.ts';
import type { OnTerminal } from '../support/terminal.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'sync-agent-menu-')));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let cwd = '';
let number = 0;
const write = (text: string): void => writeFileSync(join(cwd, 'store', 'a.txt'), text);
const read = (): string => readFileSync(join(cwd, 'store', 'a.txt'), 'utf8');
const settings = (): Record<string, string> => ({
  SYNC_AGENT_STORE: './store',
  SYNC_AGENT_REMOTE: `file://${cwd}/remote`,
});
beforeEach(() => {
  cwd = join(root, String((number += 1)));
  mkdirSync(join(cwd, 'store'), { recursive: true });
  write('one');
});

it('a bare sync-agent without a terminal says that it needs a command', async () => {
  expect(await runCli([], { cwd, env: settings() })).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('Cannot do anything without a command') as string,
  });
});

const missing = terminalMissing();
describe.skipIf(missing !== undefined)(`on a terminal${missing === undefined ? '' : ` (${missing})`}`, () => {
  const start = (...args: string[]): OnTerminal =>
    startOnTerminal([process.execPath, buildCli(), ...args], {
      cwd,
      env: { PATH: process.env['PATH'] ?? '', HOME: cwd, ...settings() },
    });
  const { enter, down, ctrlC } = keys;
  const menu = 'what shall be done?';

  it('a bare sync-agent is a menu that shows each command, runs it, and comes back', async () => {
    const terminal = start();
    await terminal.answer(menu, enter);
    await terminal.answer('sync-agent backup\r\n', '');
    await terminal.answer('Backed up', '');
    await terminal.answer(menu, down + enter);
    await terminal.answer('sync-agent list\r\n', '');
    await terminal.answer(menu, down + enter);
    await terminal.answer('Which snapshot?', `\u0015${enter}`);
    await terminal.answer('It needs an answer', `latest${enter}`);
    await terminal.answer('sync-agent show latest\r\n', '');
    await terminal.answer('a.txt', '');
    // A command that fails ends nothing, nor does a question that is taken back.
    await terminal.answer(menu, enter);
    await terminal.answer('Which snapshot?', `\u0015nothing${enter}`);
    await terminal.answer('error: ', '');
    await terminal.answer(menu, enter);
    await terminal.answer('Which snapshot?', ctrlC);
    write('two');
    await terminal.answer(menu, down + enter);
    await terminal.answer('Which snapshot?', enter);
    await terminal.answer('sync-agent restore --snapshot latest\r\n', '');
    await terminal.answer('Replace "', 'y');
    await terminal.answer('Restored', '');
    expect(read()).toBe('one');
    await terminal.answer(menu, down + enter);
    await terminal.answer('sync-agent check\r\n', '');
    await terminal.answer(menu, down + enter);
    await terminal.answer('Into which file or directory?', `\u0015my archive.zip${enter}`);
    await terminal.answer("sync-agent archive --to 'my archive.zip'", '');
    await terminal.answer(menu, down + enter);
    expect(await terminal.done).toMatchObject({ exitCode: 0 });
    expect(readFileSync(join(cwd, 'my archive.zip')).subarray(0, 2).toString()).toBe('PK');
  });

  it('a menu that is left by Ctrl-C ends as interrupted, and has done nothing', async () => {
    const terminal = start();
    await terminal.answer(menu, ctrlC);
    const { exitCode, screen } = await terminal.done;
    expect({ exitCode, screen }).toMatchObject({ exitCode: 130 });
    expect(screen).not.toContain('Backed up');
  });

  it('a restore of a named snapshot, or by force, asks before it replaces the store, and --yes does not', async () => {
    expect((await runCli(['backup'], { cwd, env: settings() })).exitCode).toBe(0);
    write('two');
    for (const [kept, ...args] of [
      ['The present store is kept as a rollback copy', '--snapshot', 'latest'],
      ['The present store is not kept', '--force', '--skip-backup'],
    ] as const) {
      const asked = start('restore', ...args);
      await asked.answer('Replace "', enter);
      const { exitCode, screen } = await asked.done;
      expect({ exitCode, screen }).toMatchObject({ exitCode: 130 });
      // A long line is broken.
      expect(screen.replaceAll(/[\s│]+/g, ' ')).toContain(kept);
      expect(screen).toContain('you said no, and nothing was changed');
      expect(read()).toBe('two');
    }
    const dry = await start('restore', '--snapshot', 'latest', '--dry-run').done;
    expect(dry).toMatchObject({ exitCode: 0, screen: expect.stringContaining('Would restore') as string });
    expect(await start('restore', '--snapshot', 'latest', '--yes').done).toMatchObject({ exitCode: 0 });
    expect(read()).toBe('one');
    // Nothing to replace, so nothing to ask: a plain restore runs before each start.
    expect(await start('restore').done).toMatchObject({ exitCode: 0 });
  });
});
