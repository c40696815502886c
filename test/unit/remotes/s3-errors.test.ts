import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { fromS3 } from '../../../src/remotes/s3/errors/s3-errors.ts';
import { versionsRemark } from '../../../src/remotes/s3/s3-remarks.ts';

const now = Date.UTC(2026, 10, 21, 12);
const action = 'put "history/a/x" to s3://bucket/prefix';
const map = (error: unknown, signal?: AbortSignal) => fromS3(error, { action, signal, now: () => now });
const answer = (name: string, status: number, headers: Record<string, string> = {}, message = name): Error =>
  Object.assign(new Error(message), {
    name,
    $metadata: { httpStatusCode: status, requestId: 'r1' },
    $response: { statusCode: status, headers },
  });
const broken = (code: string): Error => Object.assign(new Error(`connect ${code}`), { code });

describe('fromS3', () => {
  it.each([
    [answer('NoSuchKey', 404), 'NOT_FOUND', false],
    [answer('NotFound', 404), 'NOT_FOUND', false],
    [answer('NoSuchBucket', 404), 'NOT_FOUND', false],
    [answer('AccessDenied', 403), 'DENIED', false],
    [answer('403', 403), 'DENIED', false],
    [answer('SignatureDoesNotMatch', 403), 'DENIED', false],
    [answer('ExpiredToken', 400), 'DENIED', false],
    [Object.assign(new Error('no credentials'), { name: 'CredentialsProviderError' }), 'DENIED', false],
    [answer('PreconditionFailed', 412), 'ALREADY_EXISTS', false],
    [answer('ConditionalRequestConflict', 409), 'REMOTE_UNREACHABLE', true],
    [answer('SlowDown', 503), 'REMOTE_UNREACHABLE', true],
    [answer('TooManyRequests', 429), 'REMOTE_UNREACHABLE', true],
    [answer('InternalError', 500), 'REMOTE_UNREACHABLE', true],
    [answer('RequestTimeout', 400), 'REMOTE_UNREACHABLE', true],
    [answer('BadDigest', 400), 'REMOTE_UNREACHABLE', true],
    [answer('InvalidArgument', 400), 'REMOTE_UNREACHABLE', false],
    [answer('NotImplemented', 501), 'REMOTE_UNREACHABLE', false],
    [answer('QuotaExceeded', 403), 'DISK_FULL', false],
    [answer('SyntaxError', 200), 'REMOTE_UNREACHABLE', true],
    [broken('ECONNREFUSED'), 'REMOTE_UNREACHABLE', true],
    [broken('ENOTFOUND'), 'REMOTE_UNREACHABLE', false],
    [broken('EAI_AGAIN'), 'REMOTE_UNREACHABLE', true],
    [broken('HPE_INVALID_CONSTANT'), 'REMOTE_UNREACHABLE', false],
    [broken('CERT_HAS_EXPIRED'), 'REMOTE_UNREACHABLE', false],
    [Object.assign(new Error('slow'), { name: 'TimeoutError' }), 'REMOTE_UNREACHABLE', true],
    [new Error('Region is missing'), 'USAGE', false],
    [new TypeError('x is not a function'), 'INTERNAL', false],
    [Object.assign(new TypeError('bad argument'), { code: 'ERR_INVALID_ARG_TYPE' }), 'INTERNAL', false],
  ])('maps %s', (error, code, retryable) => {
    expect(map(error)).toMatchObject({ code, retryable });
  });

  it('says what failed, where and why', () => {
    expect(map(answer('SlowDown', 503)).message).toBe(
      'Cannot put "history/a/x" to s3://bucket/prefix: SlowDown (503)',
    );
  });

  it('reads Retry-After as seconds and as a date', () => {
    expect(map(answer('SlowDown', 503, { 'retry-after': '7' })).retryAfterMs).toBe(7000);
    expect(
      map(answer('SlowDown', 503, { 'retry-after': new Date(now + 9000).toUTCString() })).retryAfterMs,
    ).toBe(9000);
    expect(map(answer('SlowDown', 503, { 'retry-after': 'soon' })).retryAfterMs).toBeUndefined();
  });

  it.each([
    [301, 'USAGE'],
    [302, 'REMOTE_UNREACHABLE'],
    [307, 'USAGE'],
    [308, 'USAGE'],
  ])('names the server that a redirect without a region leads to: %i', (status, code) => {
    const moved = map(answer('Unknown', status, { location: 'https://user:secret@s3.example.com/bucket' }));
    expect(moved).toMatchObject({
      code,
      remedy: expect.stringContaining(' https://s3.example.com;') as string,
    });
  });

  it.each([
    [
      Object.assign(new Error('getaddrinfo ENOTFOUND minio.internal'), { code: 'ENOTFOUND' }),
      'there is no host "minio.internal" (ENOTFOUND)',
      0,
    ],
    [
      Object.assign(new Error('connect'), { code: 'ECONNREFUSED', address: '127.0.0.1', port: 9 }),
      'nothing listens at 127.0.0.1:9 (ECONNREFUSED)',
      5000,
    ],
    [
      Object.assign(new AggregateError([{ address: '::1', port: 9 }], ''), { code: 'ECONNREFUSED' }),
      'nothing listens at [::1]:9 (ECONNREFUSED)',
      5000,
    ],
    [
      Object.assign(
        new Error(
          'write EPROTO 80:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/x.c:350:',
        ),
        { code: 'EPROTO' },
      ),
      'the server does not speak TLS at this port (EPROTO)',
      0,
    ],
    [
      Object.assign(
        new Error(
          'write EPROTO 80:error:0A000410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure:../x.c:1586:',
        ),
        { code: 'EPROTO' },
      ),
      'the TLS handshake failed: sslv3 alert handshake failure (EPROTO)',
      0,
    ],
    [
      Object.assign(
        new Error(
          '@smithy/node-http-handler - the request socket did not establish a connection with the server within …',
        ),
        { name: 'TimeoutError' },
      ),
      'the server does not accept a connection',
      6000,
    ],
    [
      Object.assign(new Error('socket hang up'), { name: 'TimeoutError', code: 'ECONNRESET' }),
      'the server closed the connection (ECONNRESET)',
      Infinity,
    ],
  ])('says in plain words what the network did, and how long to try: %s', (error, why, retryForMs) => {
    const failure = map(error);
    expect(failure).toMatchObject({ code: 'REMOTE_UNREACHABLE', message: `Cannot ${action}: ${why}` });
    expect(failure.retryable ? failure.retryForMs : 0).toBe(retryForMs);
  });

  it.each([
    ['CERT_HAS_EXPIRED', 'certificate has expired', /Renew/],
    [
      'ERR_TLS_CERT_ALTNAME_INVALID',
      "Host: a. is not in the cert's altnames: DNS:b",
      /name in the certificate/,
    ],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate', /AWS_CA_BUNDLE or NODE_EXTRA_CA_CERTS/],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify', /AWS_CA_BUNDLE or NODE_EXTRA_CA_CERTS/],
  ])('says what helps against %s', (code, message, remedy) => {
    const failure = map(Object.assign(new Error(message), { code }));
    expect(failure).toMatchObject({ code: 'REMOTE_UNREACHABLE', retryable: false });
    expect(failure.remedy).toMatch(remedy);
  });

  it('names the region of a bucket that is elsewhere', () => {
    const moved = map(answer('PermanentRedirect', 301, { 'x-amz-bucket-region': 'eu-west-1' }));
    expect(moved).toMatchObject({ code: 'USAGE', remedy: expect.stringContaining('eu-west-1') as string });
    const malformed = answer(
      'AuthorizationHeaderMalformed',
      400,
      {},
      "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
    );
    expect(map(malformed).remedy).toContain('"eu-west-1"');
  });

  it('names both clocks when they differ too much', () => {
    const { code, remedy } = map(
      answer('RequestTimeTooSkewed', 403, { date: new Date(now + 3_600_000).toUTCString() }),
    );
    expect(code).toBe('DENIED');
    expect(remedy).toContain('2026-11-21T12:00:00.000Z');
    expect(remedy).toContain('2026-11-21T13:00:00.000Z');
  });

  it('tries again once the SDK has learned the time, also where the answer has no name', () => {
    const corrected = (error: object): unknown =>
      Object.assign(error, { $metadata: { httpStatusCode: 403, clockSkewCorrected: true } });
    expect(map(corrected(answer('RequestTimeTooSkewed', 403))).retryable).toBe(true);
    expect(map(corrected(answer('403', 403))).retryable).toBe(true);
    expect(map(corrected(answer('AccessDenied', 403))).retryable).toBe(false);
    expect(map(answer('RequestTimeTooSkewed', 403)).retryable).toBe(false);
  });

  it('keeps nothing of the request, its signature or its key', () => {
    const error = Object.assign(
      answer(
        'SignatureDoesNotMatch',
        403,
        { authorization: 'AWS4 secret1' },
        'Credential=AKIAIOSFODNN7EXAMPLE/x, Signature=secret2 at https://me:secret3@host/?X-Amz-Signature=secret4',
      ),
      {
        AWSAccessKeyId: 'AKIAIOSFODNN7EXAMPLE',
        StringToSign: 'secret5',
        request: { headers: { authorization: 'secret6' } },
      },
    );
    expect(inspect(map(error), { depth: 10, showHidden: true })).not.toMatch(/AKIAIOSFODNN7EXAMPLE|secret\d/);
  });

  it('turns whatever an aborted signal causes into INTERRUPTED', () => {
    expect(map(broken('ECONNRESET'), AbortSignal.abort()).code).toBe('INTERRUPTED');
  });
});

describe('what a person would look at first', () => {
  it('is the path of an endpoint, when there is no such bucket', () => {
    const at = (endpoint: string) =>
      fromS3(answer('NoSuchBucket', 404), { action, now: () => now, endpoint: new URL(endpoint) }).remedy;
    expect(at('http://host:9000/a/b')).toMatch(
      /^Leave the path "\/a\/b" out of the endpoint.*--s3-endpoint http:\/\/host:9000/,
    );
    expect(at('http://host:9000/')).toMatch(/^Create the bucket/);
  });

  it('is the profile that gives no credentials', () => {
    const error = Object.assign(new Error('Could not load credentials from any providers'), {
      name: 'CredentialsProviderError',
    });
    expect(fromS3(error, { action, now: () => now, profile: 'wrok' })).toMatchObject({
      code: 'DENIED',
      message: expect.stringContaining('the profile "wrok", which AWS_PROFILE names') as string,
    });
    expect(map(error).message).not.toContain('profile');
  });

  it('is the proxy, when a connection fails', () => {
    const failure = fromS3(broken('ECONNREFUSED'), { action, now: () => now, proxy: 'http://proxy:3128' });
    expect(failure.message).toContain('the proxy http://proxy:3128 cannot be reached: nothing listens');
    const reset = fromS3(broken('ECONNRESET'), { action, now: () => now, proxy: 'http://proxy:3128' });
    expect(reset.message).not.toContain('the proxy');
    expect(reset.remedy).toContain('http://proxy:3128');
  });
});

describe('the remark on a versioned bucket', () => {
  it('has a lifecycle configuration that "aws s3api put-bucket-lifecycle-configuration" takes', () => {
    const { remedy = '' } = versionsRemark(true, undefined, 'app');
    expect(JSON.parse(remedy.slice(remedy.indexOf('{')))).toMatchObject({
      Rules: [
        { Status: 'Enabled', Filter: { Prefix: 'app/' }, NoncurrentVersionExpiration: { NoncurrentDays: 1 } },
      ],
    });
  });

  it('says what Object Lock does to that', () => {
    expect(versionsRemark(true, 'governance, 1 day', '').message).toContain(
      'Object Lock is on (governance, 1 day)',
    );
    expect(versionsRemark(false, undefined, '').message).toContain('may still hold');
  });
});
