import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
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
