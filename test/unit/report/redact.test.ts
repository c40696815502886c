import { describe, expect, it } from 'vitest';
import { redact, redactText } from '../../../src/report/redact.ts';

const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';

describe('a text loses', () => {
  it.each([
    `GET https://b.example/k?X-Amz-Algorithm=A&X-Amz-Credential=${secret}&X-Amz-Date=1`,
    `GET https://b.example/k?X-Amz-Security-Token=${secret}`,
    `GET https://b.example/k?a=1&X-Amz-Signature=${secret} failed`,
    `https://b.example/k?AWSAccessKeyId=${secret}&Expires=1&Signature=${secret}`,
    `Cannot reach "https://user:${secret.replaceAll('/', '')}@b.example/x"`,
    `authorization: Bearer ${secret}`,
    `Authorization: AWS4-HMAC-SHA256 Credential=${secret}/20261121/eu/s3/aws4_request, Signature=${secret}`,
    `node app.js --api-token=${secret} --password ${secret}`,
    `{"sessionToken":"${secret}","SecretAccessKey": "${secret}"}`,
    `AWS_SECRET_ACCESS_KEY=${secret} node app.js`,
    `the key AKIAIOSFODNN7EXAMPLE is unknown`,
  ])('%s', (text) => {
    const result = redactText(text);
    expect(result).toContain('[redacted]');
    expect(result).not.toContain(secret);
    expect(result).not.toContain(secret.replaceAll('/', ''));
    expect(result).not.toContain('IOSFODNN7EXAMPLE');
  });
});

it.each([
  'Cannot put "commits/7.json": connect ECONNREFUSED 127.0.0.1:9000',
  'Set --s3-endpoint http://localhost:9000, or AWS_ENDPOINT_URL_S3',
  'Token expired: sign in again',
  'Snapshot 2026-11-21T12-00-00.000Z-12345678 of user@host.example',
  'The provided token has expired',
])('a text without secrets stays: %s', (text) => expect(redactText(text)).toBe(text));

it('is quick with texts that are made to be slow', () => {
  const began = performance.now();
  for (const part of ['secret', 'token ', 'a://', 'bearer ', '?sig=', 'access-key"\t\t\t'])
    redactText(part.repeat(20_000));
  expect(performance.now() - began).toBeLessThan(2000);
});

describe('data loses', () => {
  it('values under names that say what they are, however deep', () => {
    const data = {
      authorization: secret,
      s3: [{ secretAccessKey: secret, sessionToken: secret, 'x-amz-date': secret, password: secret }],
      key: 'commits/7.json',
      remedy: null,
      token: null,
    };
    expect(JSON.stringify(redact(data))).not.toContain(secret);
    expect(redact(data)).toMatchObject({ key: 'commits/7.json', remedy: null, token: null });
  });

  it('what stands within its texts', () => {
    expect(redact({ a: [`x?X-Amz-Signature=${secret}`] })).toEqual({ a: ['x?X-Amz-Signature=[redacted]'] });
  });
});
