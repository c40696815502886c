import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { bytesBody, collect, textBody } from '../../../src/remotes/body.ts';
import type { Body, Parts, Remote } from '../../../src/remotes/remote.ts';
import { counting } from '../../../src/remotes/wrappers/counting-remote.ts';
import { retrying, type RetryEvent } from '../../../src/remotes/wrappers/retrying-remote.ts';
import { needsPathStyle } from '../../../src/remotes/s3/connection/s3-client.ts';
import type { S3Settings } from '../../../src/remotes/s3/s3-settings.ts';
import { partBytesOf } from '../../../src/remotes/s3/s3-multipart.ts';
import { createS3Remote } from '../../../src/remotes/s3/s3-remote.ts';
import { startS3Server, type Fault, type S3Request, type S3Server } from '../../support/s3-server.ts';

const MiB = 1024 * 1024;
const hasty = { clock: { ...systemClock, sleep: async () => {} }, attempts: 4 };

describe('the S3 remote', () => {
  let server: S3Server;
  const opened: Remote[] = [];

  beforeAll(async () => {
    server = await startS3Server({ maxCopyBytes: 6 * MiB });
    server.createBucket('bucket');
  });
  afterEach(async () => {
    server.setFault(undefined);
    for (const remote of opened.splice(0)) await remote.close();
  });
  afterAll(() => server.close());

  const storeWith = (changes: Partial<S3Settings> = {}, on: S3Server = server): Remote => {
    const { endpoint, accessKeyId, secretAccessKey } = on;
    const credentials = { accessKeyId, secretAccessKey };
    const remote = createS3Remote({
      bucket: 'bucket',
      prefix: 'p',
      endpoint,
      credentials,
      partSizeBytes: 5 * MiB,
      retry: hasty,
      ...changes,
    });
    opened.push(remote);
    return remote;
  };
  /** The fault strikes the first `times` requests that match. */
  const faultOn = (matches: (request: S3Request) => boolean, fault: Fault, times = 1): void => {
    let left = times;
    server.setFault((request) => (matches(request) && (left -= 1) >= 0 ? fault : undefined));
  };
  const requestsDuring = async (act: () => Promise<unknown>): Promise<S3Request[]> => {
    const before = server.requests.length;
    await act();
    return server.requests.slice(before);
  };
  const contentOf = async (remote: Remote, key: string): Promise<Buffer> =>
    collect((await remote.get(key)).body, 64 * MiB);
  /** Its source tells whether it was left. */
  const longBody = (): { readonly body: Body; readonly isLeft: () => boolean } => {
    let isLeft = false;
    const open = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Buffer.alloc(MiB);
      } finally {
        isLeft = true;
      }
    };
    return { body: { size: 64 * MiB, open }, isLeft: () => isLeft };
  };
  const denied: Fault = { type: 'status', status: 403, code: 'AccessDenied' };
  const busy: Fault = { type: 'status', status: 503, code: 'SlowDown' };

  it('repeats one lost part without the others', async () => {
    const bytes = randomBytes(21 * MiB);
    const events: RetryEvent[] = [];
    const remote = storeWith({ retry: { ...hasty, onRetry: (event) => events.push(event) } });
    faultOn(({ query }) => query.get('partNumber') === '3', busy, 2);
    const requests = await requestsDuring(() => remote.put('parts', bytesBody(bytes)));
    const parts = requests
      .filter(({ operation }) => operation === 'UploadPart')
      .map(({ query }) => query.get('partNumber'));
    expect(parts.map(Number).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 3, 3, 4, 5]);
    expect(requests.filter(({ operation }) => operation === 'CreateMultipartUpload')).toHaveLength(1);
    expect(events.map(({ operation, key, attempt }) => [operation, key, attempt])).toEqual([
      ['put', 'parts', 1],
      ['put', 'parts', 2],
    ]);
    expect((await contentOf(remote, 'parts')).equals(bytes)).toBe(true);
  });

  it('aborts an upload whose part keeps failing, and the decorator does not begin it again', async () => {
    const remote = retrying(storeWith(), hasty);
    faultOn(({ query }) => query.get('partNumber') === '2', busy, 1000);
    const requests = await requestsDuring(async () => {
      await expect(remote.put('lost', bytesBody(Buffer.alloc(11 * MiB)))).rejects.toMatchObject({
        code: 'REMOTE_UNREACHABLE',
        retryable: false,
      });
    });
    expect(requests.filter(({ query }) => query.get('partNumber') === '2')).toHaveLength(4);
    expect(requests.at(-1)?.operation).toBe('AbortMultipartUpload');
    expect(server.unfinishedUploads()).toBe(0);
  });

  it('ends the other parts of an upload at once when one fails for good', async () => {
    const faults = new Map<string | null, Fault>([
      ['1', { type: 'hang', when: 'before' }],
      ['2', denied],
    ]);
    server.setFault(({ query }) => faults.get(query.get('partNumber')));
    const remote = storeWith({ stallTimeoutMs: 600_000 });
    const requests = await requestsDuring(async () => {
      await expect(remote.put('denied', bytesBody(Buffer.alloc(11 * MiB)))).rejects.toMatchObject({
        code: 'DENIED',
      });
    });
    expect(requests.at(-1)?.operation).toBe('AbortMultipartUpload');
    expect(server.unfinishedUploads()).toBe(0);
  });

  it('sends no more of a body that is refused before the server has read it', async () => {
    let connection: Socket | undefined;
    const refusing = createServer((socket) => {
      connection = socket.on('error', () => undefined);
      socket.once('data', () => {
        socket.pause();
        socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
      });
    });
    await once(refusing.listen(0, '127.0.0.1'), 'listening');
    try {
      const { port } = refusing.address() as AddressInfo;
      const remote = storeWith({ endpoint: `http://127.0.0.1:${port}`, partSizeBytes: 32 * MiB });
      await expect(remote.put('x', bytesBody(Buffer.alloc(31 * MiB)))).rejects.toMatchObject({
        code: 'DENIED',
      });
      if (connection === undefined) throw new Error('not connected');
      const closed = once(connection, 'close');
      connection.resume();
      await closed;
      expect(connection.bytesRead).toBeLessThan(31 * MiB);
    } finally {
      connection?.destroy();
      refusing.close();
    }
  });

  it('that may not list unfinished uploads says which permissions that needs', async () => {
    faultOn(({ operation }) => operation === 'ListMultipartUploads', {
      type: 'status',
      status: 403,
      code: 'AccessDenied',
    });
    await expect(storeWith().sweepUploads('history/', new Date())).rejects.toMatchObject({
      code: 'DENIED',
      remedy: expect.stringContaining('s3:ListBucketMultipartUploads') as string,
    });
  });

  it('ends an interrupted upload soon, although the server does not answer any more', async () => {
    const interruption = new AbortController();
    server.setFault(({ operation }) => {
      if (operation === 'CreateMultipartUpload') return undefined;
      interruption.abort(new Error('Ctrl-C'));
      return { type: 'hang', when: 'before' };
    });
    const remote = storeWith({ stallTimeoutMs: 600_000 });
    const { signal } = interruption;
    await expect(remote.put('gone', bytesBody(Buffer.alloc(11 * MiB)), { signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    // What it could not take away is swept later.
    server.setFault(undefined);
    expect(await remote.sweepUploads('', new Date(Date.now() + 60_000))).toBe(1);
  });

  it('takes an upload for complete when only the answer was lost', async () => {
    const bytes = randomBytes(11 * MiB);
    const remote = storeWith();
    faultOn(({ operation }) => operation === 'CompleteMultipartUpload', { type: 'drop', when: 'after' });
    await remote.put('lost answer', bytesBody(bytes));
    expect((await contentOf(remote, 'lost answer')).equals(bytes)).toBe(true);
  });

  it('begins an upload again that somebody else aborted', async () => {
    const bytes = randomBytes(11 * MiB);
    const remote = retrying(storeWith(), hasty);
    const swept: Fault = { type: 'status', status: 404, code: 'NoSuchUpload' };
    faultOn(({ query }) => query.get('partNumber') === '2', swept);
    await remote.put('swept', bytesBody(bytes));
    expect((await contentOf(remote, 'swept')).equals(bytes)).toBe(true);
  });

  it('copies what is too big for one request in parts', async () => {
    const bytes = randomBytes(17 * MiB);
    const remote = storeWith({ copyPartBytes: 5 * MiB });
    await remote.put('ä/source', bytesBody(bytes), { contentType: 'application/x-test' });
    faultOn(({ query }) => query.get('partNumber') === '2', busy);
    const requests = await requestsDuring(() => remote.copy('ä/source', 'ä/target'));
    expect(requests.filter(({ operation }) => operation === 'UploadPartCopy')).toHaveLength(5);
    expect((await contentOf(remote, 'ä/target')).equals(bytes)).toBe(true);
    faultOn(({ operation }) => operation === 'UploadPartCopy', busy, 1000);
    await expect(remote.copy('ä/source', 'ä/other')).rejects.toMatchObject({ retryable: false });
    expect(server.unfinishedUploads()).toBe(0);
  });

  describe('with the base of an object', () => {
    const partBytes = 5 * MiB;
    const old = randomBytes(22 * MiB);
    const changed = Buffer.from(old);
    changed.writeUInt32LE(changed.readUInt32LE(7 * MiB) + 1, 7 * MiB);
    const base = async (remote: Remote): Promise<{ readonly key: string; readonly parts: Parts }> => {
      const { parts } = await remote.put('ä/old', bytesBody(old));
      if (parts === undefined) throw new Error('no parts');
      return { key: 'ä/old', parts };
    };
    const operations = (requests: readonly S3Request[], operation: string): number =>
      requests.filter((each) => each.operation === operation).length;

    it('sends the parts that changed, and has the others copied', async () => {
      const remote = counting(storeWith());
      const given = await base(remote);
      const { bytesSent } = remote.counts();
      const told = { sent: 0, copied: 0 };
      const requests = await requestsDuring(() =>
        remote.put('new', bytesBody(changed), {
          base: given,
          onBytes: (count, isCopied) => (told[isCopied === true ? 'copied' : 'sent'] += count),
        }),
      );
      expect((await contentOf(remote, 'new')).equals(changed)).toBe(true);
      expect(operations(requests, 'UploadPart')).toBe(1);
      expect(operations(requests, 'UploadPartCopy')).toBe(4);
      expect(told).toEqual({ sent: partBytes, copied: 17 * MiB });
      expect(remote.counts().bytesSent - bytesSent).toBe(partBytes);
    });

    it('sends a part whose copy fails, and asks no more if that was the first', async () => {
      const remote = storeWith({ uploadConcurrency: 1 });
      const given = await base(remote);
      const answers = { refused: 1000, once: 1 };
      for (const [how, times] of Object.entries(answers)) {
        let copies = 0;
        server.setFault(({ operation }) => {
          if (operation !== 'UploadPartCopy') return undefined;
          copies += 1;
          const fails = how === 'refused' || copies === 2;
          return fails ? { type: 'status', status: 501, code: 'NotImplemented' } : undefined;
        });
        const requests = await requestsDuring(() => remote.put(how, bytesBody(changed), { base: given }));
        expect((await contentOf(remote, how)).equals(changed)).toBe(true);
        expect(operations(requests, 'UploadPart'), how).toBe(times === 1 ? 2 : 5);
        if (how === 'refused') expect(copies).toBeLessThanOrEqual(2);
        else expect(copies).toBe(4);
      }
      expect(server.unfinishedUploads()).toBe(0);
    });

    it('does not wait long for a copy that is never answered', async () => {
      const remote = storeWith({ stallTimeoutMs: 200 });
      const given = await base(remote);
      faultOn(({ operation }) => operation === 'UploadPartCopy', { type: 'hang', when: 'before' }, 2);
      await remote.put('new', bytesBody(changed), { base: given });
      expect((await contentOf(remote, 'new')).equals(changed)).toBe(true);
    });

    it('takes no part of one size for a part of another, though both end with the same bytes', async () => {
      const end = randomBytes(MiB);
      const key = 'larger parts';
      const larger = storeWith({ partSizeBytes: 6 * MiB });
      const { parts } = await larger.put(key, bytesBody(Buffer.concat([old.subarray(0, 6 * MiB), end])));
      if (parts === undefined) throw new Error('no parts');
      const bytes = Buffer.concat([old.subarray(0, partBytes), end]);
      const remote = storeWith();
      await remote.put('new', bytesBody(bytes), { base: { key, parts } });
      expect((await contentOf(remote, 'new')).equals(bytes)).toBe(true);
    });

    it('fails if the source is other bytes when it is read again', async () => {
      const remote = storeWith();
      const given = await base(remote);
      faultOn(({ operation }) => operation === 'UploadPartCopy', busy, 1000);
      const body: Body = {
        size: old.byteLength,
        open: async function* (range) {
          yield range === undefined ? old : Buffer.alloc(range.end - range.start);
        },
      };
      await expect(remote.put('new', body, { base: given })).rejects.toMatchObject({
        code: 'INTERNAL',
        message: expect.stringContaining('changed while it was read') as string,
      });
      expect(server.unfinishedUploads()).toBe(0);
    });

    it('ends an aborted upload, with copies under way', async () => {
      const remote = storeWith();
      const given = await base(remote);
      const aborting = new AbortController();
      server.setFault(({ operation }) => {
        if (operation !== 'UploadPartCopy') return undefined;
        aborting.abort();
        return { type: 'hang', when: 'before' };
      });
      await expect(
        remote.put('new', bytesBody(changed), { base: given, signal: aborting.signal }),
      ).rejects.toMatchObject({ code: 'INTERRUPTED' });
      expect(server.unfinishedUploads()).toBe(0);
    });

    it('has parts of the same size as long as there are not too many of them', async () => {
      const remote = storeWith();
      const { parts } = await remote.put('small', bytesBody(old.subarray(0, 6 * MiB)));
      expect(parts?.bytes).toBe(partBytes);
      expect(partBytesOf(10_000 * partBytes, partBytes)).toBe(partBytes);
      expect(partBytesOf(10_000 * partBytes + 1, partBytes)).toBe(2 * partBytes);
      expect(partBytesOf(5e12, partBytes) * 10_000).toBeGreaterThanOrEqual(5e12);
    });
  });

  it.each<Fault>([
    { type: 'truncate', afterBytes: 700_000 },
    { type: 'stall', afterBytes: 700_000 },
  ])('notices a body that breaks (%j), and goes on', async (fault) => {
    const bytes = randomBytes(2 * MiB);
    const remote = storeWith({ stallTimeoutMs: 300 });
    await remote.put('body', bytesBody(bytes));
    faultOn(({ operation }) => operation === 'GetObject', fault);
    await expect(contentOf(remote, 'body')).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      retryable: true,
    });
    faultOn(({ operation }) => operation === 'GetObject', fault, 2);
    expect((await contentOf(retrying(remote, hasty), 'body')).equals(bytes)).toBe(true);
  });

  it('gives up a server that never answers', async () => {
    const remote = storeWith({ stallTimeoutMs: 200 });
    faultOn(() => true, { type: 'hang', when: 'before' }, 2);
    await expect(remote.head('x')).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE', retryable: true });
    await expect(remote.put('x', textBody('x'))).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      retryable: true,
    });
  });

  it('reports a lost create-only answer as it is, so that the caller reads back', async () => {
    const remote = retrying(storeWith(), hasty);
    faultOn(({ operation }) => operation === 'PutObject', { type: 'drop', when: 'after' });
    await expect(remote.put('commit', textBody('mine'), { ifAbsent: true })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    expect((await contentOf(remote, 'commit')).toString()).toBe('mine');
  });

  it.each([
    ['NotImplemented', 'UNSUPPORTED'],
    ['InternalError', 'REMOTE_UNREACHABLE'],
  ])('tells a server that refuses the condition of a create-only put: %s', async (code, expected) => {
    const remote = storeWith();
    faultOn(({ operation }) => operation === 'PutObject', { type: 'status', status: 501, code });
    await expect(remote.put('new', textBody('x'), { ifAbsent: true })).rejects.toMatchObject({
      code: expected,
      retryable: false,
    });
    faultOn(({ operation }) => operation === 'PutObject', { type: 'status', status: 501, code });
    await expect(remote.put('new', textBody('x'))).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
  });

  it('blames the answer when a part comes back without an ETag', async () => {
    faultOn(({ operation }) => operation === 'UploadPart', { type: 'header', name: 'etag' }, 1000);
    await expect(storeWith().put('big', bytesBody(randomBytes(6 * MiB)))).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      message: 'Cannot put "big" to s3://bucket/p: the answer has no ETag',
    });
    expect(server.unfinishedUploads()).toBe(0);
  });

  it('blames the answer when a copied part comes back without an ETag', async () => {
    const remote = storeWith({ copyPartBytes: 5 * MiB });
    await remote.put('source', bytesBody(randomBytes(7 * MiB)));
    const edit = (xml: string): string => xml.replace(/<ETag>.*<\/ETag>/, '');
    faultOn(({ operation }) => operation === 'UploadPartCopy', { type: 'xml', edit }, 1000);
    await expect(remote.copy('source', 'target')).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      message: expect.stringContaining('the answer has no ETag') as string,
    });
    expect(await remote.head('target')).toBeUndefined();
    expect(server.unfinishedUploads()).toBe(0);
  });

  it('does not take a compressed answer for the object', async () => {
    const remote = storeWith();
    await remote.put('x', textBody('x'));
    const encodedAs = (value: string): void =>
      faultOn(({ operation }) => operation === 'GetObject', {
        type: 'header',
        name: 'content-encoding',
        value,
      });
    encodedAs('gzip');
    await expect(remote.get('x')).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE', retryable: false });
    encodedAs('aws-chunked');
    expect((await contentOf(remote, 'x')).toString()).toBe('x');
  });

  it('does not take a listing that it cannot read for an empty one', async () => {
    const remote = storeWith({ prefix: 'hidden' });
    await remote.put('a b/c', textBody('x'));
    const edit = (xml: string): string =>
      xml.replace(/<EncodingType>.*?<\/EncodingType>/, '').replaceAll('hidden/a', 'hidden%2Fa');
    faultOn(({ operation }) => operation === 'ListObjectsV2', { type: 'xml', edit }, 1000);
    const said = { code: 'REMOTE_UNREACHABLE', message: expect.stringContaining('"hidden%2Fa') as string };
    const listAll = async (): Promise<void> => {
      for await (const page of remote.list('')) expect(page.objects).toEqual([]);
    };
    await expect(listAll()).rejects.toMatchObject(said);
    await expect(remote.listDirectories('')).rejects.toMatchObject(said);
  });

  it('removes one by one where the server cannot remove many', async () => {
    const remote = storeWith();
    const keys = ['a', 'b', 'c'].map((name) => `many/${name}`);
    for (const key of keys) await remote.put(key, textBody(key));
    faultOn(
      ({ operation }) => operation === 'DeleteObjects',
      { type: 'status', status: 501, code: 'NotImplemented' },
      1000,
    );
    const requests = await requestsDuring(async () => {
      await remote.remove(keys);
      await remote.remove(keys);
    });
    expect(requests.filter(({ operation }) => operation === 'DeleteObjects')).toHaveLength(1);
    for (const key of keys) expect(await remote.head(key)).toBeUndefined();
  });

  it.each(['NotImplemented', 'MethodNotAllowed'])(
    'leaves unfinished uploads to a server that cannot list them: %s',
    async (code) => {
      faultOn(({ operation }) => operation === 'ListMultipartUploads', { type: 'status', status: 501, code });
      expect(await storeWith().sweepUploads('', new Date(Date.now() + 60_000))).toBe(0);
      faultOn(({ operation }) => operation === 'ListMultipartUploads', {
        type: 'status',
        status: 403,
        code: 'AccessDenied',
      });
      await expect(storeWith().sweepUploads('', new Date())).rejects.toMatchObject({ code: 'DENIED' });
    },
  );

  it('says who is to blame, and never with what secret', async () => {
    const wrong = storeWith({ credentials: { accessKeyId: 'testkey', secretAccessKey: 'wrongsecret' } });
    const failure: unknown = await wrong.put('x', textBody('x')).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'DENIED',
      message: 'Cannot put "x" to s3://bucket/p: SignatureDoesNotMatch (403)',
    });
    expect(inspect(failure, { depth: 20, showHidden: true })).not.toMatch(/wrongsecret|AWS4-HMAC|testkey/);
    await expect(wrong.head('x')).rejects.toMatchObject({ code: 'DENIED' });
    await expect(storeWith({ bucket: 'no-such-bucket' }).put('x', textBody('x'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      remedy: expect.stringContaining('bucket') as string,
    });
    await expect(storeWith({ endpoint: 'http://127.0.0.1:1' }).head('x')).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      retryable: true,
    });
    expect(() => storeWith({ endpoint: 'http://me:secret@host' })).toThrow('***@host');
  });

  it('works on with a host whose clock is wrong, once the server told the time', async () => {
    const later = await startS3Server({ clockOffsetMs: 3_600_000 });
    try {
      later.createBucket('bucket');
      await expect(storeWith({}, later).put('x', textBody('x'))).rejects.toMatchObject({
        code: 'DENIED',
        remedy: expect.stringContaining('clock') as string,
      });
      const { serverTime } = await retrying(storeWith({}, later), hasty).put('x', textBody('x'));
      expect(serverTime.getTime() - Date.now()).toBeGreaterThan(3_500_000);
    } finally {
      await later.close();
    }
  });

  it('applies encryption and storage class to every new object, copies included', async () => {
    const remote = storeWith({
      serverSideEncryption: 'aws:kms',
      kmsKeyId: 'key',
      storageClass: 'STANDARD_IA',
    });
    const requests = await requestsDuring(async () => {
      await remote.put('small', textBody('x'));
      await remote.put('big', bytesBody(Buffer.alloc(6 * MiB)));
      await remote.copy('small', 'copy');
    });
    const creating = requests.filter(({ operation }) =>
      ['PutObject', 'CopyObject', 'CreateMultipartUpload'].includes(operation),
    );
    expect(creating).toHaveLength(3);
    for (const { headers } of creating) {
      expect(headers).toMatchObject({
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': 'key',
        'x-amz-storage-class': 'STANDARD_IA',
      });
    }
  });

  it('sends a signed SHA-256 with every body, and the checksums of the SDK only when asked', async () => {
    for (const checksums of ['when_required', 'when_supported'] as const) {
      const remote = storeWith({ checksums });
      const requests = await requestsDuring(async () => {
        await remote.put('small', textBody('x'), {
          sha256: '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881',
        });
        await remote.put('big', bytesBody(Buffer.alloc(6 * MiB)));
        await remote.remove(['small', 'big']);
      });
      const names = (request: S3Request | undefined): string[] =>
        Object.keys(request?.headers ?? {})
          .filter((name) => /^(content-md5|x-amz-checksum-)/.test(name))
          .toSorted();
      const of = (operation: string): string[] =>
        names(requests.find((request) => request.operation === operation));
      const asked = checksums === 'when_supported';
      expect(of('PutObject')).toEqual(asked ? ['x-amz-checksum-sha256'] : []);
      expect(of('UploadPart')).toEqual(asked ? ['x-amz-checksum-crc32'] : []);
      for (const { operation, headers } of requests.filter((each) => /Put|Part/.test(each.operation)))
        expect(headers['x-amz-content-sha256'], operation).toMatch(/^[0-9a-f]{64}$/);
      expect(of('DeleteObjects')).toEqual(asked ? ['x-amz-checksum-crc32'] : ['content-md5']);
    }
  });

  it('sends Content-MD5 to a server that asks for it, which costs one request', async () => {
    const remote = storeWith();
    server.setFault(({ operation, headers }) =>
      /^(PutObject|UploadPart)$/.test(operation) && headers['content-md5'] === undefined
        ? { type: 'status', status: 400, code: 'MissingContentMD5', when: 'after' }
        : undefined,
    );
    const bytes = randomBytes(11 * MiB);
    const count = async (act: () => Promise<unknown>): Promise<number> =>
      (await requestsDuring(act)).filter(({ operation }) => /^(PutObject|UploadPart)$/.test(operation))
        .length;
    expect(await count(() => remote.put('locked', textBody('x')))).toBe(2);
    expect(await count(() => remote.put('locked', textBody('y')))).toBe(1);
    // Its parts are on their way together when the first is refused.
    const other = storeWith();
    expect(await count(() => other.put('locked-big', bytesBody(bytes)))).toBeLessThanOrEqual(6);
    expect((await contentOf(remote, 'locked-big')).equals(bytes)).toBe(true);
  });

  it('uploads and copies in parts where the SDK adds checksums, as Amazon wants them announced and named', async () => {
    const remote = storeWith({ checksums: 'when_supported', copyPartBytes: 5 * MiB });
    const bytes = randomBytes(11 * MiB);
    await remote.put('big', bytesBody(bytes));
    await remote.copy('big', 'copy');
    expect((await contentOf(remote, 'copy')).equals(bytes)).toBe(true);
  });

  it('has a body refused that is not what its SHA-256 says, whatever the checksums', async () => {
    for (const checksums of ['when_required', 'when_supported'] as const) {
      const remote = storeWith({ checksums });
      await expect(
        remote.put('lie', textBody('x'), { sha256: '0'.repeat(64) }),
        checksums,
      ).rejects.toMatchObject({ message: expect.stringMatching(/Mismatch|BadDigest/) as string });
      expect(await remote.head('lie')).toBeUndefined();
    }
  });

  it('holds no more parts than it may, of all bodies together', async () => {
    const remote = storeWith({ uploadConcurrency: 2 });
    let held = 0;
    let most = 0;
    server.setFault(async ({ operation }) => {
      if (operation !== 'UploadPart') return undefined;
      held += 1;
      most = Math.max(most, held);
      await systemClock.sleep(50);
      held -= 1;
      return undefined;
    });
    await Promise.all(['a', 'b', 'c'].map((key) => remote.put(key, bytesBody(Buffer.alloc(16 * MiB)))));
    expect(most).toBe(2);
  });

  it('reads the first parts while the upload begins', async () => {
    const bytes = randomBytes(11 * MiB);
    let wasRead = (): void => undefined;
    const read = new Promise<void>((resolve) => (wasRead = resolve));
    // Not answered before a whole part was read.
    server.setFault(async ({ operation }) => {
      if (operation === 'CreateMultipartUpload') await read;
      return undefined;
    });
    const remote = storeWith();
    const body: Body = {
      size: bytes.byteLength,
      open: async function* () {
        yield bytes.subarray(0, 6 * MiB);
        wasRead();
        yield bytes.subarray(6 * MiB);
      },
    };
    await remote.put('early', body);
    expect((await contentOf(remote, 'early')).equals(bytes)).toBe(true);
  });

  it('has read the first part of one body before it reads another', async () => {
    const read: string[] = [];
    const bodyOf = (name: string): Body => ({
      size: 11 * MiB,
      open: async function* () {
        for (let index = 0; index < 11; index += 1) {
          read.push(name);
          await new Promise(setImmediate);
          yield Buffer.alloc(MiB);
        }
      },
    });
    const remote = storeWith();
    await Promise.all(['a', 'b'].map((name) => remote.put(name, bodyOf(name))));
    // The sixth MiB begins the second part, so that the first is known to be whole.
    expect(read.slice(0, 6)).toEqual(Array<string>(6).fill('a'));
    expect(read.slice(6)).toContain('b');
  });

  it('sends and aborts nothing if the upload cannot begin, and leaves its source', async () => {
    faultOn(({ operation }) => operation === 'CreateMultipartUpload', denied);
    const { body, isLeft } = longBody();
    const requests = await requestsDuring(async () => {
      await expect(storeWith().put('denied', body)).rejects.toMatchObject({ code: 'DENIED' });
    });
    expect(requests.map(({ operation }) => operation)).toEqual(['CreateMultipartUpload']);
    expect(isLeft()).toBe(true);
  });

  it('aborts an upload that began when its source had failed already', async () => {
    let hasFailed = (): void => undefined;
    const failed = new Promise<void>((resolve) => (hasFailed = resolve));
    server.setFault(async ({ operation }) => {
      if (operation === 'CreateMultipartUpload') await failed;
      return undefined;
    });
    const body: Body = {
      size: 64 * MiB,
      open: async function* () {
        yield Buffer.alloc(MiB);
        setImmediate(hasFailed);
        throw new Error('gone');
      },
    };
    await expect(storeWith().put('gone', body)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(server.unfinishedUploads()).toBe(0);
  });

  it('leaves the source of an upload that fails', async () => {
    const remote = storeWith();
    faultOn(({ operation }) => operation === 'UploadPart', denied);
    const { body, isLeft } = longBody();
    await expect(remote.put('denied', body)).rejects.toMatchObject({ code: 'DENIED' });
    expect(isLeft()).toBe(true);
  });

  it('needs one request for each small operation', async () => {
    const remote = storeWith();
    const requests = await requestsDuring(async () => {
      await remote.put('few/a', textBody('a'));
      await remote.copy('few/a', 'few/b');
      await contentOf(remote, 'few/b');
      for await (const _ of remote.list('few/'));
      await remote.remove(['few/a', 'few/b']);
    });
    expect(requests.map(({ operation }) => operation)).toEqual([
      'PutObject',
      'CopyObject',
      'GetObject',
      'ListObjectsV2',
      'DeleteObjects',
    ]);
  });

  it.each([
    ['http://127.0.0.1:9000', true],
    ['http://[::1]:9000', true],
    ['http://localhost:9000', true],
    ['http://minio:9000', true],
    ['https://fra1.digitaloceanspaces.com', false],
  ])('knows whether %s takes the bucket in the path', (endpoint, expected) => {
    expect(needsPathStyle(new URL(endpoint))).toBe(expected);
  });
});
