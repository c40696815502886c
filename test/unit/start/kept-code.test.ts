import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildProgram } from '../../support/built-program.ts';

let program: string;
beforeAll(async () => {
  program = await buildProgram('kept-program.ts');
});

let dir: string;
let path: string;
let place: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sync-agent-kept-'));
  path = join(dir, 'module.cjs');
  place = `${path}.kept`;
  writeModule('one');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Two of them differ in one word of the same length. */
const writeModule = (word: string): void =>
  writeFileSync(path, `(function (exports) { exports.work = () => "${word}"; })`);

/** What the module said. */
function run(id: string, use: string, { how = '0', env = {}, flags = [] as readonly string[] } = {}) {
  return new Promise<string>((resolve) => {
    const options = { env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '', ...env } };
    execFile(process.execPath, [...flags, program, path, id, use, how], options, (_, stdout) =>
      resolve(stdout),
    );
  });
}

const uses = (): unknown =>
  (JSON.parse(readFileSync(place, 'utf8').split('\n')[0] ?? '') as { uses: unknown }).uses;
const writtenAt = (): bigint => statSync(place, { bigint: true }).mtimeNs;

describe('kept code', () => {
  it('is what the next process runs', async () => {
    expect(await run('a', 'x')).toBe('one');
    expect(uses()).toEqual(['x']);
    // V8 compares lengths. That it says the old word shows that nothing was compiled; the id is what tells programs apart.
    writeModule('two');
    expect(await run('a', 'x')).toBe('one');
    expect(await run('b', 'x')).toBe('two');
    expect(await run('b', 'x')).toBe('two');
  });

  it('is written again for a use that is new to it, and else left alone', async () => {
    await run('a', 'x');
    const first = writtenAt();
    await run('a', 'x');
    expect(writtenAt()).toBe(first);
    await run('a', 'y');
    expect(uses()).toEqual(['x', 'y']);
  });

  it('does not write down what may be a secret', async () => {
    await run('a', '--remote=s3://key:Secret@host/bucket');
    expect(uses()).toEqual(['other']);
    expect(readFileSync(place, 'latin1')).not.toContain('Secret');
  });

  it('is not used if it is damaged, and replaced', async () => {
    await run('a', 'x');
    const whole = readFileSync(place);
    for (const at of [0, 10, whole.indexOf('\n') + 1, whole.length - 1]) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      writeFileSync(place, damaged);
      writeModule('two');
      expect(await run('a', 'x'), `byte ${at}`).toBe('two');
      writeModule('one');
      writeFileSync(place, whole);
    }
    for (const length of [0, 5, whole.length - 1]) {
      writeFileSync(place, whole.subarray(0, length));
      expect(await run('a', 'x')).toBe('one');
      expect(uses(), `cut to ${length}`).toEqual(['x']);
    }
  });

  it('is refused by a process with other options, which keeps its own', async () => {
    await run('a', 'x');
    writeModule('two');
    expect(await run('a', 'x', { flags: ['--no-opt'] })).toBe('two');
    expect(await run('a', 'x')).toBe('two');
  });

  it('is not written by a process that fails, or that has set options meanwhile', async () => {
    for (const how of ['1', 'flag']) {
      expect(await run('a', 'x', { how })).toBe('one');
      expect(existsSync(place), how).toBe(false);
    }
  });

  it('is written after a second by a process that goes on', async () => {
    expect(await run('a', 'x', { how: 'stay' })).toBe('one');
    expect(uses()).toEqual(['x']);
    writeModule('two');
    expect(await run('a', 'x')).toBe('one');
  });

  it('is not needed where nothing can be written, or nobody wants it', async () => {
    mkdirSync(`${place}.new`);
    expect(await run('a', 'x')).toBe('one');
    rmSync(`${place}.new`, { recursive: true });
    expect(existsSync(place)).toBe(false);
    expect(await run('a', 'x', { env: { NODE_DISABLE_COMPILE_CACHE: '1' } })).toBe('one');
    expect(existsSync(place)).toBe(false);
  });
});
