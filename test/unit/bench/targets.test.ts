import { describe, expect, it } from 'vitest';
import type { PartResult, Sample } from '../../../scripts/bench/part.ts';
import { coldSteps } from '../../../scripts/bench/parts/cold.ts';
import { judgeQuiet } from '../../../scripts/bench/report/quiet.ts';
import { judge } from '../../../scripts/bench/report/targets.ts';

const sample = (tool: string, wallMs: number, extra: Partial<Sample> = {}): Sample => ({
  step: coldSteps.backup,
  tool,
  measured: { wallMs, cpuMs: 0, peakBytes: 150e6, stdout: '' },
  serverCpuMs: undefined,
  othersCpuMs: 0,
  traffic: undefined,
  ...extra,
});
const result = (samples: readonly Sample[], holds: PartResult['holds'] = []): PartResult => ({
  part: 'any',
  title: '',
  about: '',
  samples,
  holds,
});
const hold = (extraFiles: number, ms: number): PartResult['holds'][number] => ({
  extraFiles,
  storeBytes: 250e6,
  holdsMs: [ms],
  slowestWritesMs: [],
  backupsMs: [],
  slowestWriteWithoutBackupMs: 0,
  writes: 0,
  failedWrites: 0,
});
const verdictOn = (what: string, results: readonly PartResult[]) =>
  judge(results).find((each) => each.what === what);

describe('a target', () => {
  it('is met at its limit and missed above it, by the medians', () => {
    const rclone = sample('rclone', 1000);
    const agents = (middle: number) => [900, middle, 9000].map((ms) => sample('sync-agent', ms));
    expect(verdictOn('cold backup', [result([rclone, ...agents(1100)])])).toMatchObject({
      measured: '1.10 x rclone',
      verdict: 'met',
    });
    expect(verdictOn('cold backup', [result([rclone, ...agents(1110)])])).toMatchObject({
      measured: '1.11 x rclone',
      verdict: 'missed',
    });
    expect(verdictOn('cold backup: peak memory', [result(agents(1))])?.verdict).toBe('met');
  });

  it('does not look at rounds in which requests were counted', () => {
    const traffic = { requests: 1, sentBytes: 1, receivedBytes: 1 };
    expect(
      verdictOn('cold backup', [
        result([
          sample('rclone', 1000),
          sample('sync-agent', 500),
          sample('sync-agent', 99_999, { traffic }),
        ]),
      ])?.measured,
    ).toBe('0.50 x rclone');
  });

  it('is not measured without the other tool', () => {
    expect(verdictOn('cold backup', [result([sample('sync-agent', 1)])])?.verdict).toBe('not measured');
    expect(judge([]).every(({ verdict }) => verdict === 'not measured')).toBe(true);
  });

  it('on holds is for 500 MB, and for holds that do not grow with the files', () => {
    const results = [result([], [hold(0, 40), hold(1000, 51), hold(20_000, 49)])];
    expect(verdictOn('writers held back per 500 MB, 0 other files', results)).toMatchObject({
      measured: '80 ms',
      verdict: 'met',
    });
    expect(verdictOn('writers held back per 500 MB, 1,000 other files', results)?.verdict).toBe('missed');
    expect(verdictOn('the same, 20,000 other files', results)).toMatchObject({
      measured: '1.23 x without other files',
      verdict: 'missed',
    });
  });
});

describe('a run', () => {
  it('is quiet if others used little of the processors', () => {
    expect(judgeQuiet([result([sample('rclone', 1000, { othersCpuMs: 50 })])]).isQuiet).toBe(true);
    expect(judgeQuiet([result([sample('rclone', 1000, { othersCpuMs: 100_000 })])]).isQuiet).toBe(false);
    expect(judgeQuiet([])).toEqual({ othersShare: undefined, isQuiet: false });
  });
});
