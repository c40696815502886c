import { execFileSync, spawnSync } from 'node:child_process';
import type { SpawnSyncReturns } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { buildCli } from '../support/built-cli.ts';

const bin = buildCli();
const program = join(dirname(bin), 'program.cjs');

it('the command line is one script, with what it uses of the SDK and no more', () => {
  for (const name of ['bin.js', 'operation-child.js']) {
    const text = readFileSync(join(dirname(bin), name), 'utf8');
    expect(text.length).toBeLessThan(5000);
    expect([...text.matchAll(/from"(?!node:)/g)]).toEqual([]);
  }
  const { size } = statSync(program);
  expect(size).toBeGreaterThan(1_200_000);
  // With what few starts use it has 0.5 MB more.
  expect(size).toBeLessThan(1_650_000);
});

it('its code is kept for the next process', () => {
  const text = execFileSync(process.execPath, [bin, '--version'], { encoding: 'utf8' });
  const line = readFileSync(`${program}.kept`, 'latin1').split('\n')[0] ?? '';
  // Other tests start it, too, and the last one to end has written it.
  expect((JSON.parse(line) as { uses: unknown }).uses).not.toEqual([]);
  expect(execFileSync(process.execPath, [bin, '--version'], { encoding: 'utf8' })).toBe(text);
});

/** A copy of the program that nobody else starts, and a store beside it. */
function ownCopy(): string {
  const app = mkdtempSync(join(tmpdir(), 'sync-agent-own-'));
  onTestFinished(() => rmSync(app, { recursive: true, force: true }));
  mkdirSync(join(app, 'dist'));
  for (const path of ['package.json', 'dist/bin.js', 'dist/program.cjs'])
    cpSync(join(dirname(bin), '..', path), join(app, path));
  mkdirSync(join(app, 'store'));
  writeFileSync(join(app, 'store/a.txt'), 'a');
  return app;
}
const runIn = (app: string, ...args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync(
    process.execPath,
    [join(app, 'dist/bin.js'), ...args, '--store', join(app, 'store'), '--remote', `file://${app}/remote`],
    { encoding: 'utf8' },
  );

it('what hooks run has its code in a file of its own, and to ask for help does not count', () => {
  const app = ownCopy();
  symlinkSync(join(dirname(bin), '../node_modules'), join(app, 'node_modules'));
  const kept = join(app, 'dist/program.cjs.backup.kept');
  expect(runIn(app, 'backup', '--help').status).toBe(0);
  expect(existsSync(kept)).toBe(false);
  expect(runIn(app, 'backup').status).toBe(0);
  const line = readFileSync(kept, 'latin1').split('\n')[0] ?? '';
  expect(JSON.parse(line)).toMatchObject({ uses: ['backup'] });
});

it('says what to do where the native code of better-sqlite3 was not built', () => {
  const { status, stderr } = runIn(ownCopy(), 'backup');
  expect(stderr).toContain('run "npm rebuild better-sqlite3"');
  expect(status).toBe(1);
});
