import { describe, expect, it } from 'vitest';
import {
  ensureHomeDirectory,
  readAwsEnvironment,
} from '../../../src/remotes/s3/connection/aws-environment.ts';
import { endpointOf } from '../../../src/remotes/s3/connection/endpoint.ts';

const keys = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'se/cret+' };

describe('what the environment says of S3', () => {
  it('takes its keys before a profile, and an empty variable for none', () => {
    expect(
      readAwsEnvironment({ ...keys, AWS_PROFILE: 'work', AWS_SESSION_TOKEN: '', AWS_REGION: '' }),
    ).toEqual({
      credentials: { accessKeyId: 'id', secretAccessKey: 'se/cret+' },
      region: undefined,
      endpoint: undefined,
    });
    expect(readAwsEnvironment({ AWS_PROFILE: 'work' }).credentials).toBeUndefined();
    expect(readAwsEnvironment({ ...keys, AWS_SESSION_TOKEN: 't' }).credentials?.sessionToken).toBe('t');
  });

  it.each(['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'] as const)(
    'names the half that is missing: %s',
    (name) => {
      expect(() => readAwsEnvironment({ ...keys, [name]: '' })).toThrow(
        expect.objectContaining({
          code: 'DENIED',
          message: expect.stringContaining(`${name} is not set`) as string,
        }),
      );
    },
  );

  it.each([
    ['AWS_ACCESS_KEY_ID', 'id\n', 'a line break'],
    ['AWS_SECRET_ACCESS_KEY', 'secret\r\n', 'a line break'],
    ['AWS_SECRET_ACCESS_KEY', ' secret', 'a blank'],
    ['AWS_SECRET_ACCESS_KEY', 'sec\nret', 'in it'],
    ['AWS_SESSION_TOKEN', '\n', 'a line break'],
    ['AWS_REGION', 'us-east-1\t', 'a blank'],
    ['AWS_ENDPOINT_URL_S3', '"http://x"', 'a quote'],
    ['AWS_PROFILE', "'work'", 'a quote'],
    ['AWS_ACCESS_KEY_ID', '\uFEFFid', 'a byte order mark at one of its ends'],
    ['AWS_CA_BUNDLE', '/etc/ca.pem\n', 'a line break'],
  ])('refuses %s=%j by its name, without its value', (name, value, what) => {
    const attempt = (): unknown => readAwsEnvironment({ ...keys, [name]: value });
    expect(attempt).toThrow(expect.objectContaining({ code: 'USAGE', exitCode: 2 }));
    expect(attempt).toThrow(new RegExp(`${name}: .*${what}`));
    expect(attempt).not.toThrow(/secret|http:/);
  });

  it('prefers the endpoint of S3, and heeds the switch that turns them off', () => {
    const env = {
      AWS_ENDPOINT_URL: 'http://all',
      AWS_ENDPOINT_URL_S3: 'http://s3',
      AWS_DEFAULT_REGION: 'eu',
    };
    expect(readAwsEnvironment(env)).toMatchObject({ endpoint: { text: 'http://s3' }, region: 'eu' });
    expect(readAwsEnvironment({ ...env, AWS_ENDPOINT_URL_S3: '' }).endpoint?.text).toBe('http://all');
    expect(
      readAwsEnvironment({ ...env, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'TRUE' }).endpoint,
    ).toBeUndefined();
  });

  it('leaves a home directory alone that is known', () => {
    const env: NodeJS.ProcessEnv = {};
    ensureHomeDirectory(env);
    expect(env).toEqual({});
  });
});

describe('an endpoint', () => {
  it.each([
    ['https://bucket.s3.example.com', /begins with the bucket "bucket"/, 'https://s3.example.com'],
    ['https://s3.example.com/bucket', /names the bucket "bucket"/, 'https://s3.example.com'],
    ['https://s3.example.com/storage/v1/bucket/', /names the bucket/, 'https://s3.example.com/storage/v1'],
    ['s3.example.com:9000', /not an http\(s\) URL/, 'https://s3.example.com:9000'],
    ['https://s3.example.com?x=1', /has a query/, 'https://host'],
  ])('%s is told for what it is', (endpoint, message, remedy) => {
    const attempt = (): unknown => endpointOf({ bucket: 'bucket', endpoint });
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(
      expect.objectContaining({ code: 'USAGE', remedy: expect.stringContaining(remedy) as string }),
    );
  });

  it('may have a path', () => {
    expect(endpointOf({ bucket: 'b', endpoint: 'https://x.supabase.co/storage/v1/s3' })?.href).toBe(
      'https://x.supabase.co/storage/v1/s3',
    );
  });
});
