import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const summary = fileURLToPath(new URL('../../../.ci/summary.mjs', import.meta.url));

type Status = 'passed' | 'failed' | 'skipped';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sync-agent-summary-'));
  mkdirSync(join(directory, 'test/unit'), { recursive: true });
  for (const name of ['a', 'unit/b']) writeFileSync(join(directory, `test/${name}.test.ts`), '');
});
afterEach(() => rmSync(directory, { recursive: true }));

/** The last line, and the exit code, for runs that each give the outcomes of the tests by file. */
function summaryOf(
  ...runs: readonly Readonly<Record<string, readonly Status[]>>[]
): readonly [string, number] {
  const files = runs.map((run, index) => {
    const count = (wanted: Status): number =>
      Object.values(run)
        .flat()
        .filter((status) => status === wanted).length;
    const results = {
      success: count('failed') === 0,
      numPassedTests: count('passed'),
      numFailedTests: count('failed'),
      testResults: Object.entries(run).map(([name, statuses]) => ({
        name: join(directory, 'test', name),
        status: statuses.includes('failed') ? 'failed' : 'passed',
        assertionResults: statuses.map((status) => ({ fullName: name, status, failureMessages: [] })),
      })),
    };
    const file = join(directory, `${index}.json`);
    writeFileSync(file, JSON.stringify(results));
    return file;
  });
  try {
    const output = execFileSync(process.execPath, [summary, ...files], { cwd: directory, encoding: 'utf8' });
    return [output.trim().split('\n').at(-1) ?? '', 0];
  } catch (error) {
    const { stdout, status } = error as { readonly stdout: string; readonly status: number };
    return [stdout.trim().split('\n').at(-1) ?? '', status];
  }
}

const passes: readonly Status[] = ['passed'];

describe('the summary of CI', () => {
  it('passes where each file ran, and what was skipped ran on the servers', () => {
    const first = { 'a.test.ts': ['passed', 'skipped'], 'unit/b.test.ts': passes } as const;
    expect(summaryOf(first, { 'a.test.ts': ['passed'] })).toEqual(['3 passed, 0 failed', 0]);
  });

  it('fails with a file that was in no run', () => {
    expect(summaryOf({ 'a.test.ts': passes }, { 'a.test.ts': passes })).toEqual(['2 passed, 1 failed', 1]);
  });

  it('fails with a test that was skipped on the servers, or that they never saw', () => {
    const run = { 'a.test.ts': ['skipped'], 'unit/b.test.ts': passes } as const;
    expect(summaryOf(run, { 'a.test.ts': ['skipped'] })).toEqual(['1 passed, 1 failed', 1]);
    expect(summaryOf(run, { 'unit/b.test.ts': passes })).toEqual(['2 passed, 1 failed', 1]);
  });

  it('fails with a failed test, and where nothing ran', () => {
    const run = { 'a.test.ts': ['failed'], 'unit/b.test.ts': passes } as const;
    expect(summaryOf(run)).toEqual(['1 passed, 1 failed', 1]);
    expect(summaryOf({ 'a.test.ts': [], 'unit/b.test.ts': [] })).toEqual(['0 passed, 0 failed', 1]);
  });
});
