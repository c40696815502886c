import { describe, expect, it } from 'vitest';
import { assertSettings } from '../../../src/library/assert-settings.ts';

describe('settings of the library', () => {
  const given = { store: '/app/data', remote: 'file:///backups' };

  it('with the longest name of a host are fine', () => {
    expect(() => assertSettings({ ...given, host: 'x'.repeat(1024) })).not.toThrow();
  });

  it('with a name of a host that no commit can hold are refused', () => {
    expect(() => assertSettings({ ...given, host: 'x'.repeat(1025) })).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: expect.stringMatching(
          /^Cannot use "x{200}" as host: expected a name of at most 1024 characters$/,
        ) as string,
      }),
    );
  });

  it.each([undefined, {}, { intervalMs: undefined }, { intervalMs: 100 }, { intervalMs: 3_600_000 }])(
    'may save each write: %j',
    (continuous) => {
      expect(() => assertSettings({ ...given, continuous })).not.toThrow();
    },
  );

  it.each([true, false, null, '2s', 2000])('that ask to save each write by %j are refused', (continuous) => {
    expect(() => assertSettings({ ...given, continuous } as never)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: expect.stringContaining('as continuous: expected {}, or { intervalMs }') as string,
      }),
    );
  });

  it.each([0, 99, 3_600_001, NaN, '2s', null])('with %j between segments are refused', (intervalMs) => {
    expect(() => assertSettings({ ...given, continuous: { intervalMs } } as never)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: expect.stringMatching(
          /as continuous\.intervalMs: expected milliseconds from 100 to 3600000$/,
        ) as string,
      }),
    );
  });
});
