/* eslint-disable no-control-regex -- what terminals are told */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createReporter } from '../../../src/report/reporter.ts';
import { plainStyle, styleFor } from '../../../src/report/style.ts';
import { barLine } from '../../../src/report/progress.ts';

let output = '';
const stream = (isTTY: boolean) => ({ isTTY, columns: 80, write: (text: string) => (output += text) });
const reporter = (isTTY: boolean, verbosity: 'quiet' | 'normal' | 'verbose' = 'normal') =>
  createReporter({
    stream: stream(isTTY),
    style: plainStyle,
    verbosity,
    hasProgress: true,
    now: () => performance.now(),
  });

beforeEach(() => {
  output = '';
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

it('says where the time went, if it is to say more', () => {
  const phases = {
    type: 'phases',
    phases: [{ phase: 'upload', tookMs: 2500, waitedMs: 300, bytes: 4096 }],
  } as const;
  reporter(false).emit(phases);
  expect(output).toBe('');
  reporter(false, 'verbose').emit(phases);
  expect(output.split('\n').map((line) => line.split(/\s{2,}/))).toEqual([
    ['Phase', 'took', 'alone', 'moved'],
    ['Uploading', '2.5s', '300ms', '4.0 KiB'],
    [''],
  ]);
});

describe('on a terminal', () => {
  it('a long phase shows a bar, and nothing is left of it', () => {
    const { emit, stop } = reporter(true);
    emit({ type: 'phase', phase: 'upload' });
    emit({ type: 'progress', phase: 'upload', done: 50, total: 100 });
    vi.advanceTimersByTime(1000);
    expect(output).toContain('50%');
    stop();
    expect(output.endsWith('\r\u001B[2K')).toBe(true);
  });

  it('a bar is drawn even where the width is not known', () => {
    const unknown = { ...stream(true), columns: 0 };
    const { emit, stop } = createReporter({
      stream: unknown,
      style: plainStyle,
      verbosity: 'normal',
      hasProgress: true,
      now: () => performance.now(),
    });
    emit({ type: 'phase', phase: 'upload' });
    emit({ type: 'progress', phase: 'upload', done: 50, total: 100 });
    vi.advanceTimersByTime(1000);
    stop();
    expect(output).toContain('50%');
  });

  it('a fast run shows no bar at all', () => {
    const { emit, stop } = reporter(true);
    emit({ type: 'phase', phase: 'upload' });
    vi.advanceTimersByTime(100);
    stop();
    expect(output).toBe('');
  });

  it('a warning does not run into the bar', () => {
    const { emit, stop } = reporter(true);
    emit({ type: 'phase', phase: 'upload' });
    vi.advanceTimersByTime(1000);
    emit({ type: 'warning', code: 'NOTICE', message: 'mind' });
    expect(output).toMatch(/\r\u001B\[2Kwarning: mind\n$/);
    stop();
  });

  it('a bar never is wider than the terminal', () => {
    for (const width of [0, 5, 20, 40, 80, 300]) {
      const line = barLine({ phase: 'publish', done: 1e12, total: 3e12, elapsedMs: 5000 }, 1, width);
      expect(Array.from(line).length).toBeLessThanOrEqual(width);
    }
  });
});

describe('elsewhere', () => {
  it('long phases are told in plain lines, now and then', () => {
    const { emit } = reporter(false);
    emit({ type: 'phase', phase: 'upload' });
    emit({ type: 'progress', phase: 'upload', done: 1, total: 4096 });
    expect(output).toBe('');
    vi.advanceTimersByTime(11_000);
    emit({ type: 'progress', phase: 'upload', done: 2048, total: 4096 });
    emit({ type: 'progress', phase: 'upload', done: 2049, total: 4096 });
    expect(output).toBe('Uploading: 2.0 KiB of 4.0 KiB\n');
  });

  it('warnings are told even when quiet, retries are not', () => {
    const { emit, retries } = reporter(false, 'quiet');
    emit({ type: 'retry', operation: 'put', key: 'k', attempt: 1, delayMs: 5, message: 'Cannot put' });
    emit({ type: 'warning', code: 'NOTICE', message: 'mind\u001B[2J', remedy: 'do' });
    expect(output).toBe('warning: mind\uFFFD[2J\n  do\n');
    expect(retries()).toBe(1);
  });
});

it('there is colour only on a terminal and without NO_COLOR', () => {
  expect(styleFor({ isTTY: true }, {}).red('x')).not.toBe('x');
  expect(styleFor({ isTTY: true }, { NO_COLOR: '1' }).red('x')).toBe('x');
  expect(styleFor({ isTTY: true }, { TERM: 'dumb' }).red('x')).toBe('x');
  expect(styleFor({ isTTY: false }, {}).red('x')).toBe('x');
});

describe('a lease', () => {
  const waiting = {
    type: 'lease',
    state: 'waiting',
    epoch: 3,
    host: 'a\u001B[2J',
    since: undefined,
  } as const;

  it('tells for whom it waits and how long at most, without what could upset a terminal', () => {
    reporter(false).emit({ ...waiting, atMostMs: 60_000, expiresInMs: 20_000 });
    expect(output).toMatch(
      /^Waiting for host "a.*", which has the lease: until it hands over, 1m at most, 20s/,
    );
    expect(output).not.toContain('\u001B');
  });

  it('is told when it is lost, also to a quiet terminal', () => {
    reporter(false, 'quiet').emit({ type: 'lease', state: 'lost', epoch: 3, to: 'b' });
    expect(output).toContain('The lease is lost to host "b"');
  });
});
