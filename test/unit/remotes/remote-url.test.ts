import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { isSyncAgentError } from '../../../src/platform/errors.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { openRemote } from '../../../src/remotes/open-remote.ts';
import { parseRemote, resolveRemote } from '../../../src/remotes/remote-url.ts';

describe('parseRemote', () => {
  it.each([
    ['s3://bucket', undefined, 's3://bucket'],
    ['s3://bucket/', undefined, 's3://bucket'],
    [' s3://my.bucket-1/a//b/ ', undefined, 's3://my.bucket-1/a/b'],
    ['s3://bucket/100%25 ä@home', undefined, 's3://bucket/100%25 ä@home'],
    ['file:///var/backups/', '/var/backups', 'file:///var/backups'],
    ['file:/var/backups', '/var/backups', 'file:///var/backups'],
    ['file://localhost/var//x', '/var/x', 'file:///var/x'],
    ['file:///with%20space%23', '/with space#', 'file:///with%20space%23'],
  ])('reads %j', (text, directory, canonical) => {
    expect(parseRemote(text)).toMatchObject({ url: canonical, ...(directory && { directory }) });
    expect(parseRemote(canonical).url).toBe(canonical);
  });

  it.each([
    '',
    'bucket',
    '/var/backups',
    './x',
    'https://s3.example.org/bucket',
    'gs://bucket',
    's3://',
    's3:///prefix',
    's3://b',
    's3://bucket:9000/x',
    's3://bucket/a/../b',
    's3://bucket/./b',
    's3://bucket/x?region=eu',
    's3://bucket/a\nb',
    'file:relative',
    'file://host/dir',
    'file:///',
    'file:///a/../b',
    'file:///a?b',
    'file:///%00',
    'file:///a%2Fb',
    's3://under score!/x',
  ])('refuses %j with advice', (text) => {
    const failure = catchError(() => parseRemote(text));
    expect(isSyncAgentError(failure, 'USAGE') && failure.remedy).toBeTruthy();
  });

  it.each([
    's3://AKIAKEY:hunter2@bucket/x',
    's3://AKIAKEY:hunt/er2@bucket/x',
    's3://AKIAKEY:hunter2',
    'https://AKIAKEY:hunter2@host/bucket',
  ])('never repeats the credential in %j', (text) => {
    const failure = catchError(() => parseRemote(text));
    expect(isSyncAgentError(failure, 'USAGE')).toBe(true);
    expect(`${String(failure)} ${(failure as { remedy?: string }).remedy}`).not.toMatch(/AKIAKEY|hunt|er2/);
  });
});

function catchError(fn: () => unknown): unknown {
  try {
    return fn();
  } catch (error) {
    return error;
  }
}

describe('what people paste instead', () => {
  it.each([
    ['s3:/bucket/x', 's3://bucket/x'],
    ['s3:bucket', 's3://bucket'],
    ['s3//bucket/x', 's3://bucket/x'],
    ['arn:aws:s3:::bucket/x', 's3://bucket/x'],
    ['gs://bucket/x', 's3://bucket/x, and --s3-endpoint https://storage.googleapis.com'],
    ['https://bucket.s3.eu-central-1.amazonaws.com/x', 's3://bucket/x'],
    ['https://s3.eu-central-1.amazonaws.com/bucket/x/', 's3://bucket/x'],
    [
      'https://id.r2.cloudflarestorage.com/bucket',
      's3://bucket, and the server as --s3-endpoint https://id.r2.cloudflarestorage.com',
    ],
    [
      'https://bucket.fra1.digitaloceanspaces.com/a/b',
      's3://bucket/a/b, and the server as --s3-endpoint https://fra1.digitaloceanspaces.com',
    ],
    ['http://127.0.0.1:9000', 's3://bucket/prefix, and the server as --s3-endpoint http://127.0.0.1:9000'],
  ])('%s is told what was meant', (text, remedy) => {
    expect(() => parseRemote(text)).toThrow(
      expect.objectContaining({ code: 'USAGE', remedy: `Write ${remedy}` }),
    );
  });

  it('the scheme may be in capitals', () => {
    expect(parseRemote('S3://bucket/x').url).toBe('s3://bucket/x');
  });
});

describe('a URL that is relative to the config file', () => {
  it.each([
    ['file:./x', 'file:///srv/app/x'],
    ['file:../x', 'file:///srv/x'],
    ['file:///x', 'file:///x'],
    ['s3://bucket/x', 's3://bucket/x'],
    ['nonsense', 'nonsense'],
  ])('%s is %s', (text, absolute) => {
    expect(resolveRemote(text, '/srv/app')).toBe(absolute);
  });
});

describe('what a bucket is called in the local record', () => {
  afterEach(() => void vi.unstubAllEnvs());

  const idAt = async (endpoint?: string): Promise<string> => {
    const works = { clock: systemClock, emit: () => undefined, fs: nodeFileSystem };
    return (await openRemote('s3://bucket/x', { ...works, s3: { endpoint } })).remoteId;
  };

  it('names its server, whether a setting or the environment names that, and however it is written', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL', '');
    vi.stubEnv('AWS_ENDPOINT_URL_S3', '');
    expect(await idAt()).toBe('s3://bucket/x');
    expect(await idAt('HTTP://One:9000/')).toBe('s3://bucket/x at http://one:9000');
    vi.stubEnv('AWS_ENDPOINT_URL_S3', 'http://two:9000');
    expect(await idAt()).toBe('s3://bucket/x at http://two:9000');
  });

  it('is not made up where the server cannot be used', async () => {
    await expect(idAt('one:9000')).rejects.toMatchObject({ code: 'USAGE' });
  });
});
