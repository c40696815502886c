import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { Server } from 'node:http';
import { createServer as createSecureServer, get } from 'node:https';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { callWebhook } from '../../../src/hooks/call-webhook.ts';
import { collect, textBody } from '../../../src/remotes/body.ts';
import { openRemote } from '../../../src/remotes/open-remote.ts';
import { proxyFor } from '../../../src/remotes/proxy.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { startS3Server } from '../../support/s3-server.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const close of closing.splice(0).toReversed()) await close();
});

/** A forward proxy that leads every host to `port` of this one, and keeps what it was asked. */
async function startProxy(port: number, status = 200) {
  const asked: string[] = [];
  const server = createServer((message, response) => {
    asked.push(`${message.method} ${message.url}`);
    if (status !== 200) {
      response.writeHead(status).end();
      return;
    }
    const { pathname, search } = new URL(message.url ?? '');
    const { method, headers } = message;
    const onward = request(
      { host: '127.0.0.1', port, path: pathname + search, method, headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.rawHeaders);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    message.pipe(onward);
  });
  server.on('connect', (message, socket) => {
    asked.push(`CONNECT ${message.url}`);
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    for (const each of [onward, socket]) each.on('error', () => onward.destroy());
  });
  const url = await listen(server);
  return { url, asked };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function openThrough(proxy: string, endpoint = 'http://s3.example.invalid') {
  const s3 = await startS3Server();
  closing.push(() => s3.close());
  s3.createBucket('bucket');
  vi.stubEnv('HTTP_PROXY', proxy);
  const { remote } = await openRemote('s3://bucket/app', {
    s3: {
      endpoint,
      region: s3.region,
      forcePathStyle: true,
      credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
      retry: { attempts: 1 },
    },
    clock: systemClock,
    emit: () => undefined,
    fs: nodeFileSystem,
  });
  closing.push(() => remote.close());
  return { remote, port: Number(new URL(s3.endpoint).port) };
}

describe('a remote behind a proxy', () => {
  it('is reached through it, and says so', async () => {
    const s3 = await startS3Server();
    closing.push(() => s3.close());
    s3.createBucket('bucket');
    const proxy = await startProxy(Number(new URL(s3.endpoint).port));
    vi.stubEnv('HTTP_PROXY', proxy.url);
    const { remote } = await openRemote('s3://bucket/app', {
      s3: {
        endpoint: 'http://s3.example.invalid',
        region: s3.region,
        forcePathStyle: true,
        credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
      },
      clock: systemClock,
      emit: () => undefined,
      fs: nodeFileSystem,
    });
    closing.push(() => remote.close());
    await remote.put('a', textBody('text'));
    expect(String(await collect((await remote.get('a')).body, 100))).toBe('text');
    expect(proxy.asked.length).toBeGreaterThan(1);
    expect(proxy.asked[0]).toMatch(/^PUT http:\/\/s3\.example\.invalid(:80)?\/bucket\/app\/a/);
    expect(await remote.remarks?.()).toContainEqual({
      name: 'proxy',
      type: 'fact',
      message: `requests go through ${proxy.url}`,
    });
  });

  it('that wants a password is told for that, without showing one', async () => {
    const proxy = await startProxy(1, 407);
    const { remote } = await openThrough(proxy.url.replace('//', '//user:hidden@'));
    const error: unknown = await remote.head('a').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'DENIED', message: expect.stringContaining('proxy') as string });
    expect(JSON.stringify([String(error), (error as { remedy: string }).remedy])).not.toContain('hidden');
  });

  it('that does not answer is named', async () => {
    const { remote } = await openThrough('http://127.0.0.1:9');
    await expect(remote.head('a')).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      message: expect.stringMatching(
        /^Cannot look up "a" in s3:\/\/bucket\/app: the proxy http:\/\/127\.0\.0\.1:9 cannot be reached: nothing listens/,
      ) as string,
      remedy: expect.stringContaining('check HTTP_PROXY, HTTPS_PROXY and NO_PROXY') as string,
    });
  });
});

describe('which proxy', () => {
  const proxied = async (url: string, env: NodeJS.ProcessEnv): Promise<string | undefined> =>
    (await proxyFor(url, {}, env))?.shown;

  it.each([
    ['https://s3.example.com', {}, undefined],
    ['https://s3.example.com', { HTTP_PROXY: 'http://p:1' }, undefined],
    ['https://s3.example.com', { HTTPS_PROXY: 'http://u:x@p:1' }, 'http://p:1'],
    ['https://s3.example.com', { https_proxy: 'http://p:1' }, 'http://p:1'],
    ['http://s3.example.com', { ALL_PROXY: 'http://p:1' }, 'http://p:1'],
    ['https://s3.example.com', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '.example.com' }, undefined],
    ['https://s3.example.com', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '*' }, undefined],
    ['https://s3.example.com', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'example.com' }, undefined],
    ['https://s3.example.com', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'ample.com' }, 'http://p:1'],
    ['https://example.com', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '.example.com' }, 'http://p:1'],
    ['https://s3.example.com', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'a, S3.Example.com' }, undefined],
    ['https://s3.example.com', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '*.example.com:443' }, undefined],
    ['https://s3.example.com', { HTTPS_PROXY: 'p:1' }, 'https://p:1'],
    ['http://10.1.2.3:9000', { HTTP_PROXY: 'http://p:1', NO_PROXY: '10.0.0.0/8' }, undefined],
    ['http://11.1.2.3:9000', { HTTP_PROXY: 'http://p:1', NO_PROXY: '10.0.0.0/8' }, 'http://p:1'],
    ['http://10.1.2.3:9000', { HTTP_PROXY: 'http://p:1', NO_PROXY: '10.1.2.3' }, undefined],
    ['http://10.1.2.3:9000', { HTTP_PROXY: 'http://p:1', NO_PROXY: '10.1.2.0/99' }, 'http://p:1'],
    ['http://[fd00::1]:9000', { HTTP_PROXY: 'http://p:1', NO_PROXY: 'fd00::/8' }, undefined],
    ['http://[::1]:9000', { HTTP_PROXY: 'http://p:1', NO_PROXY: '[0:0::1]:9000' }, undefined],
    ['http://10.example.com', { HTTP_PROXY: 'http://p:1', NO_PROXY: '10.0.0.0/8' }, 'http://p:1'],
    ['https://s3.example.com:9', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 's3.example.com:8' }, 'http://p:1'],
  ])('%s with %j: %s', async (url, env, expected) => {
    expect(await proxied(url, env)).toBe(expected);
  });

  it('of another kind is refused without its password', async () => {
    await expect(
      proxied('https://x.example', { HTTPS_PROXY: 'socks5://u:hidden@p:1' }),
    ).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.not.stringContaining('hidden') as string,
    });
  });
});

it('TLS goes through a tunnel', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sync-agent-tls-'));
  closing.push(() => rmSync(directory, { recursive: true }));
  const [key, cert] = [join(directory, 'key'), join(directory, 'cert')];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      '-days',
      '1',
      '-subj',
      '/CN=s3.example.invalid',
    ],
    { stdio: 'ignore' },
  );
  const server = createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
    response.end('through');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => void server.close());
  const proxy = await startProxy((server.address() as AddressInfo).port);
  vi.stubEnv('HTTPS_PROXY', proxy.url);
  const agent = (
    await proxyFor('https://s3.example.invalid', {
      ca: readFileSync(cert, 'utf8'),
      checkServerIdentity: () => undefined,
    })
  )?.https;
  const text = await new Promise<string>((resolve, reject) => {
    get('https://s3.example.invalid/', { agent }, (response) => {
      response.setEncoding('utf8').on('data', resolve);
    }).on('error', reject);
  });
  expect(text).toBe('through');
  expect(proxy.asked).toEqual(['CONNECT s3.example.invalid:443']);
});

it('a webhook goes through it, too', async () => {
  const bodies: string[] = [];
  const server = createServer((message, response) => {
    message.setEncoding('utf8').on('data', (text: string) => bodies.push(text));
    message.on('end', () => response.writeHead(204).end());
  });
  const target = await listen(server);
  const proxy = await startProxy(Number(new URL(target).port));
  vi.stubEnv('HTTP_PROXY', proxy.url);
  const document = { hook: 'after-backup' } as Parameters<typeof callWebhook>[1];
  expect(
    await callWebhook(new URL('http://hooks.example.invalid/x'), document, {
      signal: new AbortController().signal,
    }),
  ).toBeUndefined();
  expect(bodies.join('')).toBe('{"hook":"after-backup"}');
});
