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
});
