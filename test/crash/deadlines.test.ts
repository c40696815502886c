import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { isSyncAgentError } from '../../src/platform/errors.ts';
import { bytesBody, collect, textBody } from '../../src/remotes/body.ts';
import { withDeadline } from '../../src/remotes/wrappers/deadline.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { openRemote } from '../../src/remotes/open-remote.ts';
import type { S3Options } from '../../src/remotes/s3/s3-settings.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { makeCertificate } from '../support/certificate.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import type { ProxyFault } from '../support/fault-proxy.ts';
import { makeHost } from '../support/host.ts';
import { startS3Server } from '../support/s3-server.ts';
import { realS3, usesOwnServer } from '../support/s3.ts';

const MiB = 1024 * 1024;
const stallTimeoutMs = 200;
const hastyClock: Clock = { ...systemClock, sleep: async () => {} };
const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** Does with each connection what the test says. */
async function startRawServer(handle: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    handle(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function remoteAt(
  endpoint: string,
  options: { readonly s3?: S3Options; readonly clock?: Clock; readonly url?: string } = {},
): Promise<Remote> {
  const { remote } = await openRemote(options.url ?? 's3://bucket/p', {
    s3: {
      endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'testkey', secretAccessKey: 'testsecret' },
      forcePathStyle: true,
      connectTimeoutMs: stallTimeoutMs,
      stallTimeoutMs,
      copyTimeoutMs: stallTimeoutMs,
      partSizeBytes: 5 * MiB,
      retry: { attempts: 2 },
      ...options.s3,
    },
    clock: options.clock ?? hastyClock,
    emit: () => undefined,
    fs: nodeFileSystem,
  });
  closers.push(() => remote.close());
  return remote;
}

/** Each operation, as it would wait. */
const operations: Readonly<Record<string, (remote: Remote) => Promise<unknown>>> = {
  put: (remote) => remote.put('x', textBody('x')),
  'create-only put': (remote) => remote.put('x', textBody('x'), { ifAbsent: true }),
  'big put': (remote) => remote.put('x', bytesBody(Buffer.alloc(6 * MiB))),
  get: async (remote) => collect((await remote.get('x')).body, MiB),
  head: (remote) => remote.head('x'),
  list: async (remote) => {
    for await (const _ of remote.list(''));
  },
  listDirectories: (remote) => remote.listDirectories(''),
  copy: (remote) => remote.copy('x', 'y'),
  remove: (remote) => remote.remove(['x', 'y']),
  sweepUploads: (remote) => remote.sweepUploads('', new Date()),
};

/** Rejects as out of reach, and neither before the time-out nor long after the last attempt's. */
async function expectGivenUp(
  work: () => Promise<unknown>,
  mostMs: number,
  leastMs = stallTimeoutMs * 0.9,
): Promise<void> {
  const started = performance.now();
  const late = new Promise<string>((resolve) => {
    const timer = setTimeout(resolve, mostMs, `it still waits after ${mostMs} ms`);
    closers.push(async () => clearTimeout(timer));
  });
  const failure = await Promise.race([work().catch((error: unknown) => error), late]);
  expect(failure).toMatchObject({ code: 'REMOTE_UNREACHABLE', exitCode: 6 });
  expect(performance.now() - started).toBeGreaterThan(leastMs);
}

describe('a server that accepts and never answers', () => {
  it.each(Object.keys(operations))('is given up by %s, after its attempts', async (name) => {
    let connections = 0;
    const address = await startRawServer((socket) => {
      connections += 1;
      socket.resume();
    });
    const remote = await remoteAt(`http://${address}`);
    await expectGivenUp(async () => operations[name]?.(remote), 8000);
    expect(connections).toBeGreaterThanOrEqual(2);
  });

  it('is given up when it does not even finish the TLS handshake', async () => {
    const remote = await remoteAt(`https://${await startRawServer((socket) => socket.resume())}`);
    await expectGivenUp(() => remote.head('x'), 5000);
  });

  it('is given up when it does not read what is sent to it', async () => {
    const remote = await remoteAt(`http://${await startRawServer((socket) => socket.pause())}`, {
      s3: { partSizeBytes: 32 * MiB },
    });
    await expectGivenUp(() => remote.put('x', bytesBody(Buffer.alloc(24 * MiB))), 8000);
  });

  it('fails every command with exit code 6, and leaves the store alone', async () => {
    const remote = await remoteAt(`http://${await startRawServer((socket) => socket.resume())}`);
    // Waits between attempts are skipped; the 20 s that a start with a store gives the remote are not.
    const clock: Clock = {
      ...systemClock,
      sleep: async (ms, options) => (ms < 20_000 ? undefined : systemClock.sleep(ms, options)),
    };
    const host = await makeHost({ remote, clock });
    closers.push(() => host.remove());
    await host.write({ 'a.txt': 'mine' });
    for (const work of [
      () => host.agent.backup(),
      () => host.agent.restore(),
      () => host.agent.sync(),
      () => host.agent.list(),
      () => host.agent.verify(),
      () => host.agent.prune(),
    ]) {
      await expectGivenUp(work, 8000);
    }
    expect(await host.read()).toEqual({ 'a.txt': 'mine' });
  });

  it('is left at once when the signal aborts', async () => {
    const remote = await remoteAt(`http://${await startRawServer((socket) => socket.resume())}`, {
      s3: { stallTimeoutMs: 60_000, copyTimeoutMs: 60_000 },
    });
    for (const name of ['put', 'get', 'copy']) {
      const signal = AbortSignal.timeout(50);
      const work = {
        put: () => remote.put('x', textBody('x'), { signal }),
        get: () => remote.get('x', { signal }),
        copy: () => remote.copy('x', 'y', { signal }),
      };
      const started = performance.now();
      await expect(work[name as keyof typeof work]()).rejects.toMatchObject({ code: 'INTERRUPTED' });
      expect(performance.now() - started).toBeLessThan(5000);
    }
  });
});

describe('a server that trickles', () => {
  const endless = 'HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n';
  const trickle = (socket: Socket, head: string, drop: string): void => {
    socket.resume().write(head);
    const timer = setInterval(() => socket.write(drop), 5);
    socket.on('close', () => clearInterval(timer));
  };
  const s3 = { stallTimeoutMs: 60, copyTimeoutMs: 60 };

  it.each(['head', 'put', 'list', 'remove'])('headers for ever is given up by %s', async (name) => {
    const address = await startRawServer((socket) => trickle(socket, endless, 'X-More: and more\r\n'));
    const remote = await remoteAt(`http://${address}`, { s3 });
    await expectGivenUp(async () => operations[name]?.(remote), 10_000, 0);
  });

  it('a listing for ever is given up', async () => {
    const head = `${endless}Content-Length: 1000000\r\n\r\n<ListBucketResult>`;
    const address = await startRawServer((socket) => trickle(socket, head, ' '));
    const remote = await remoteAt(`http://${address}`, { s3 });
    await expectGivenUp(async () => operations['list']?.(remote), 10_000, 0);
  });

  it('a body, slower than any link, is given up', async () => {
    const date = new Date().toUTCString();
    const head = `HTTP/1.1 200 OK\r\nETag: "x"\r\nDate: ${date}\r\nContent-Length: 3000\r\n\r\n`;
    const address = await startRawServer((socket) => trickle(socket, head, '.'));
    const remote = await remoteAt(`http://${address}`, { s3: { stallTimeoutMs: 100 } });
    await expectGivenUp(async () => operations['get']?.(remote), 10_000, 0);
  });
});

describe('a server that reads a body byte by byte', () => {
  it('is given up long before it has all of a big one', async () => {
    const address = await startRawServer((socket) => {
      socket.pause();
      const timer = setInterval(() => void socket.read(1), 20);
      socket.on('close', () => clearInterval(timer));
    });
    const remote = await remoteAt(`http://${address}`, { s3: { partSizeBytes: 64 * MiB } });
    await expectGivenUp(() => remote.put('x', bytesBody(Buffer.alloc(48 * MiB))), 10_000);
  });

  it('is waited for when it is slow but reads on, however big the body', async () => {
    const size = 40 * MiB;
    const head = `HTTP/1.1 200 OK\r\nETag: "x"\r\nDate: ${new Date().toUTCString()}\r\nContent-Length: 0\r\n\r\n`;
    const address = await startRawServer((socket) => {
      let read = 0;
      socket.on('data', (chunk) => {
        read += chunk.byteLength;
        socket.pause();
        // 60 ms for each MiB: a stretch of 128 KiB needs little, and the whole far more than a stretch has.
        setTimeout(() => socket.resume(), (60 * chunk.byteLength) / MiB);
        if (read > size) socket.write(head);
      });
    });
    const remote = await remoteAt(`http://${address}`, {
      s3: { partSizeBytes: 64 * MiB, stallTimeoutMs: 1000, retry: { attempts: 1 } },
    });
    const started = performance.now();
    await remote.put('x', bytesBody(Buffer.alloc(size)));
    expect(performance.now() - started).toBeGreaterThan(1200);
  });
});

describe('a server that expects TLS', () => {
  it('is recognised when it drops a connection without, and not asked again', async () => {
    let plain = 0;
    const server = createTlsServer(makeCertificate()).on('tlsClientError', () => (plain += 1));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(async () => new Promise((resolve) => server.close(resolve)));
    const remote = await remoteAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
      s3: { retry: { attempts: 8 }, answerTimeoutMs: 5000 },
    });
    await expect(remote.head('x')).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      retryable: false,
      message: expect.stringMatching(/speaks TLS at this port/) as string,
      remedy: expect.stringMatching(/https/) as string,
    });
    expect(plain).toBe(1);
  });
});

describe('an operation that does not even hear that it should stop', () => {
  it('is given up at its deadline all the same', async () => {
    const deaf = (): Promise<never> => new Promise(() => undefined);
    await expect(withDeadline(deaf, { ms: 20, action: 'put "x"' })).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      retryable: true,
      message: 'Cannot put "x": no complete answer within 20 ms',
    });
  });
});

describe('the deadline of all attempts together', () => {
  it('ends the retries of a server that asks for patience, by the clock', async () => {
    let now = 0;
    const clock: Clock = {
      ...systemClock,
      monotonic: () => now,
      sleep: async (ms) => {
        now += ms;
      },
    };
    const answer =
      'HTTP/1.1 503 Slow Down\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
    const address = await startRawServer((socket) => socket.once('data', () => socket.end(answer)));
    const remote = await remoteAt(`http://${address}`, {
      clock,
      s3: { stallTimeoutMs: 5000, retry: { attempts: 1_000_000 } },
    });
    await expect(remote.head('x')).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
    // One pause of 20 s; another one would end too late.
    expect(now).toBe(20_000);
  });
});

const real = realS3();
const servers: readonly { readonly name: string; readonly open: () => Promise<readonly [string, string]> }[] =
  [
    ...(usesOwnServer
      ? [
          {
            name: 'the server in this process',
            open: async () => {
              const server = await startS3Server();
              closers.push(() => server.close());
              server.createBucket('bucket');
              return [server.endpoint, 'bucket'] as const;
            },
          },
        ]
      : []),
    ...(real === undefined
      ? []
      : [{ name: real.endpoint, open: async () => [real.endpoint, await real.makeBucket()] as const }]),
  ];
if (real === undefined) {
  describe('stalls before a real server', () => {
    it.skip('needs SYNC_AGENT_TEST_S3_ENDPOINT');
  });
}

describe.each(servers)('a transfer from $name that stalls midway', ({ open }) => {
  const s3 =
    real === undefined
      ? {}
      : {
          stallTimeoutMs: 1500,
          credentials: { accessKeyId: real.accessKeyId, secretAccessKey: real.secretAccessKey },
        };
  const bytes = Buffer.alloc(MiB, 'sync-agent');

  async function stalling(fault: ProxyFault, times: number) {
    const [endpoint, bucket] = await open();
    const proxy = await startFaultProxy(endpoint);
    closers.push(() => proxy.close());
    const remote = await remoteAt(proxy.endpoint, { url: `s3://${bucket}/p`, s3 });
    await remote.put('x', bytesBody(bytes));
    let left = times;
    proxy.setFault(({ operation }) => (operation === 'GetObject' && (left -= 1) >= 0 ? fault : undefined));
    return { remote, proxy };
  }

  it('is detected, and goes on at the byte it reached', async () => {
    const { remote, proxy } = await stalling({ type: 'stall', share: 0.5 }, 1);
    expect((await collect((await remote.get('x')).body, MiB)).equals(bytes)).toBe(true);
    const [first, ...later] = proxy.requests
      .filter(({ operation }) => operation === 'GetObject')
      .map(({ headers }) => headers.range);
    expect(first).toBeUndefined();
    // On a busy machine silence may be found sooner, and more than once.
    const begins = later.map((range) => Number(/^bytes=(\d+)-/.exec(String(range))?.[1]));
    expect(begins.length).toBeGreaterThan(0);
    expect(begins.toSorted((a, b) => a - b)).toEqual(begins);
    expect(begins[0]).toBeGreaterThan(0);
    expect(begins[0]).toBeLessThanOrEqual(MiB / 2);
  });

  it('ends as out of reach when it never gets further', async () => {
    const { remote } = await stalling({ type: 'stall', share: 0 }, 100);
    await expectGivenUp(async () => collect((await remote.get('x')).body, MiB), 20_000);
  });

  it('hangs for ever without the time-out: this guard bites', async () => {
    const { proxy } = await stalling({ type: 'hang', when: 'before' }, 100);
    const patient = await remoteAt(proxy.endpoint, { s3: { ...s3, stallTimeoutMs: 1_000_000 } });
    await expect(expectGivenUp(() => patient.get('x'), 1000)).rejects.toThrow(/it still waits/);
  });
});

describe('a range whose answer is not what was asked for', () => {
  it.each([
    ['a shorter Content-Length', 'bytes 10-19/100', 5, /asked for 10 bytes/],
    ['another beginning', 'bytes 0-9/100', 10, /ignored the range/],
    ['a shorter range', 'bytes 10-14/100', 5, /asked for 10 bytes/],
  ])('with %s is refused before a byte is used', async (_, contentRange, length, message) => {
    const address = await startRawServer((socket) =>
      socket.on('data', () =>
        socket.write(
          `HTTP/1.1 206 Partial\r\nETag: "x"\r\nDate: ${new Date().toUTCString()}\r\nContent-Range: ${contentRange}\r\n` +
            `Content-Length: ${length}\r\n\r\n${'.'.repeat(length)}`,
        ),
      ),
    );
    const remote = await remoteAt(`http://${address}`);
    const failure: unknown = await remote
      .get('x', { range: { start: 10, end: 20 } })
      .catch((error: unknown) => error);
    expect(isSyncAgentError(failure, 'REMOTE_UNREACHABLE')).toBe(true);
    expect((failure as Error).message).toMatch(message);
  });
});
