import { describe, expect, it } from 'vitest';
import { shownLocation, shownPath } from '../../../src/report/shown-path.ts';

const place = { cwd: '/srv/app', home: '/home/me' };

describe('a path is shown as people write it', () => {
  it.each([
    ['/srv/app/chroma', './chroma'],
    ['/srv/app', '.'],
    ['/srv/app2/chroma', '/srv/app2/chroma'],
    ['/srv', '/srv'],
    ['/home/me/data', '~/data'],
    ['/home/me', '~'],
    ['/srv/app/..data', './..data'],
  ])('%s as %s', (path, shown) => {
    expect(shownPath(path, place)).toBe(shown);
  });

  it('whole in the root directory, and without a home', () => {
    expect(shownPath('/home/me/data', { cwd: '/', home: undefined })).toBe('/home/me/data');
    expect(shownPath('/home/me/data', { cwd: '/', home: '/' })).toBe('/home/me/data');
    expect(shownPath('/home/me/data', { cwd: '/srv', home: '' })).toBe('/home/me/data');
  });

  it.each([
    ['file:///mnt/My%20Backups/%C3%BC', '/mnt/My Backups/ü'],
    ['file:///srv/app/remote', './remote'],
    ['s3://bucket/my%20app', 's3://bucket/my%20app'],
    ['memory:', 'memory:'],
  ])('of a remote: %s as %s', (location, shown) => {
    expect(shownLocation(location, place)).toBe(shown);
  });
});
