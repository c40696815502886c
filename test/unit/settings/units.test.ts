import { describe, expect, it } from 'vitest';
import { parseDuration, parseShare, parseSize } from '../../../src/settings/units.ts';

describe('a duration', () => {
  it.each([
    ['500ms', 500],
    ['90s', 90_000],
    ['1h', 3_600_000],
    ['2h30m', 9_000_000],
    ['1.5h', 5_400_000],
    ['1d', 86_400_000],
    ['0', 0],
    [' 1H ', 3_600_000],
  ])('%j is %d milliseconds', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });
  it.each(['', '5', '1x', 'h', '-1h', '1h30', '1 hour', '1e3s', '9999999999999w'])('cannot be %j', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe('a size', () => {
  it.each([
    ['8MiB', 8 * 1024 * 1024],
    ['8 mib', 8 * 1024 * 1024],
    ['100MB', 100_000_000],
    ['1.5GiB', 1.5 * 1024 ** 3],
    ['4096', 4096],
    ['4096B', 4096],
  ])('%j is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
  it.each(['', '8M', 'MiB', '-1', '1e9', '8MiBs', '99999999TiB'])('cannot be %j', (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
});

it('a share is a fraction or a percentage, at most the whole', () => {
  expect([
    parseShare('0.5'),
    parseShare('50%'),
    parseShare('1'),
    parseShare('101%'),
    parseShare('-0.5'),
  ]).toEqual([0.5, 0.5, 1, undefined, undefined]);
});
