import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { S3Failure } from './s3-failure.ts';

const allowedSkewMs = 15 * 60_000;
const pattern =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

/** Checks a header signature (Signature Version 4) as the S3 documentation describes it; throws what S3 answers. */
export function verifySignature(
  request: IncomingMessage,
  keys: ReadonlyMap<string, string>,
  now: number,
): void {
  const { headers } = request;
  const match = pattern.exec(headers.authorization ?? '');
  if (match === null) throw new S3Failure(403, 'AccessDenied', 'Access Denied');
  const [, accessKeyId = '', day = '', region = '', signedHeaders = '', signature = ''] = match;
  const secret = keys.get(accessKeyId);
  if (secret === undefined) {
    throw new S3Failure(
      403,
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
    );
  }
  const date = headerOf(request, 'x-amz-date');
  const time = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(now - time) <= allowedSkewMs)) {
    throw new S3Failure(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
    );
  }
  const names = signedHeaders.split(';');
  if (!names.includes('host')) throw new S3Failure(403, 'AccessDenied', 'The host header is not signed');
  const [path = '', query = ''] = splitOnce(request.url ?? '', '?');
  const canonical = [
    request.method,
    path,
    canonicalQuery(query),
    ...names.map((name) => `${name}:${headerOf(request, name).trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders,
    headerOf(request, 'x-amz-content-sha256'),
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const digest = createHash('sha256').update(canonical).digest('hex');
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(
    (previous, part) => hmac(previous, part),
    `AWS4${secret}`,
  );
  const expected = hmac(key, ['AWS4-HMAC-SHA256', date, scope, digest].join('\n'));
  if (!timingSafeEqual(expected, Buffer.from(signature, 'hex'))) {
    throw new S3Failure(
      403,
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided.',
    );
  }
}

export function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name] ?? '';
  return Array.isArray(value) ? value.join(',') : value;
}

function canonicalQuery(query: string): string {
  const pairs =
    query === ''
      ? []
      : query.split('&').map((pair) => splitOnce(pair, '=').map((part) => encode(decodeURIComponent(part))));
  return pairs
    .map(([name = '', value = '']) => `${name}=${value}`)
    .toSorted()
    .join('&');
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function splitOnce(text: string, separator: string): readonly string[] {
  const index = text.indexOf(separator);
  return index === -1 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)];
}
