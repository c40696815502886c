import { describe, expect, it } from 'vitest';
import { settingKeys } from '../../../src/settings/settings.ts';
import { closest } from '../../../src/settings/suggest.ts';

const commands = ['backup', 'restore', 'sync', 'list', 'status', 'rollback'];

describe('closest', () => {
  it.each([
    ['bakcup', 'backup'],
    ['stat', 'status'],
    ['lst', 'list'],
    ['Restore', 'restore'],
  ])('%s is taken for %s', (word, meant) => {
    expect(closest(word, commands)).toBe(meant);
  });

  it.each([
    ['capture_timeout', 'captureTimeout'],
    ['rollbackCopys', 'rollbackCopies'],
    ['s3.endpont', 's3.endpoint'],
    ['keepDaly', 'keepDaily'],
    ['kep', 'keep'],
  ])('the setting %s is taken for %s', (word, meant) => {
    expect(closest(word, settingKeys)).toBe(meant);
  });

  it('suggests nothing for what is like nothing', () => {
    expect(closest('xyzzy', commands)).toBeUndefined();
    expect(closest('', commands)).toBeUndefined();
  });
});
