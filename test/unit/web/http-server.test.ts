import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { isLoopback } from '../../../src/web/request-guard.ts';
import { startHttpServer } from '../../../src/web/server.ts';
import type { HttpServer, HttpServerOptions } from '../../../src/web/server.ts';
import type { AgentEvent, DaemonEvent } from '../../../src/platform/events.ts';
import { sampleEvents } from '../../support/sample-events.ts';
import {
  fakeAgentView,
  noon,
  sampleFacts,
  sampleStatuses,
  savedStatus,
} from '../../support/sample-status.ts';

const token = 'correct-horse-battery';
let stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops) await stop();
  stops = [];
});

async function start(options: Partial<HttpServerOptions> = {}, agent = fakeAgentView()) {
  const server = await startHttpServer(agent, {
    host: '127.0.0.1',
    port: 0,
    isPortFixed: true,
    token: undefined,
    now: () => noon,
    ...options,
  });
  stops.push(() => server.close());
  return { server, agent, ask: (path: string, how: Ask = {}) => send(server, path, how) };
}

interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Sends headers as they are, which fetch would not. */
function send({ url }: HttpServer, path: string, { method = 'GET', headers, body }: Ask): Promise<Answer> {
  const { port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('routes', () => {
  it('/healthz answers while the event loop lives, whatever the state', async () => {
    const { ask, agent } = await start();
    agent.set(sampleStatuses.failing);
    expect(await ask('/healthz')).toMatchObject({ status: 200, body: 'ok\n' });
  });

  it.each(['saved', 'unsaved', 'saving', 'diverged'] as const)('/readyz is 200 for %s', async (name) => {
    const { ask, agent } = await start();
    agent.set(sampleStatuses[name]);
    expect(await ask('/readyz')).toMatchObject({ status: 200, body: '{"ready":true,"reasons":[]}\n' });
  });

  it.each([
    ['starting', 'The agent is starting: restore'],
    ['stopped', 'The agent has stopped'],
    ['failing', 'Changes are not saved for 2h 10m, and the interval is 1h; 12m ago: Cannot list'],
    ['damaged', 'The store is damaged: Collection "docs"'],
    ['serverFails', 'The server of the store fails: Cannot count'],
    ['overdue', 'Changes are not saved for 2h 10m, and the interval is 1h'],
  ] as const)('/readyz says why not: %s', async (name, reason) => {
    const { ask, agent } = await start();
    agent.set(sampleStatuses[name]);
    const { status, body } = await ask('/readyz');
    expect(status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({
      ready: false,
      reasons: expect.arrayContaining([expect.stringContaining(reason)]) as unknown,
    });
  });

  it('/status.json is the whole status and the facts of the disk', async () => {
    const { ask } = await start();
    const { status, headers, body } = await ask('/status.json');
    expect({ status, type: headers['content-type'], cache: headers['cache-control'] }).toEqual({
      status: 200,
      type: 'application/json',
      cache: 'no-store',
    });
    expect(JSON.parse(body)).toEqual({ ...savedStatus, local: sampleFacts });
  });

  it('/ is the page, with or without reloads', async () => {
    const { ask } = await start();
    expect((await ask('/')).body).toMatch(/http-equiv="refresh".*All saved 4 minutes ago/s);
    expect((await ask('/?refresh=off')).body).not.toContain('http-equiv="refresh"');
  });

  it('/metrics counts what happened since the start', async () => {
    const { ask, agent } = await start();
    agent.tell(sampleEvents['operation-finished']);
    const { headers, body } = await ask('/metrics');
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(body).toContain('sync_agent_operations_total{operation="backup",outcome="committed"} 1');
  });

  it('POST /notify notifies the agent', async () => {
    const { ask, agent } = await start();
    expect(await ask('/notify', { method: 'POST', body: '{"any":"thing"}' })).toMatchObject({
      status: 202,
      body: '{"accepted":true}\n',
    });
    expect(agent.calls.notify).toBe(1);
  });

  it('POST /flush answers when all is saved, or why it is not', async () => {
    const { ask, agent } = await start();
    const post = { method: 'POST' };
    expect(await ask('/flush', post)).toMatchObject({
      status: 200,
      body: '{"isSaved":true,"type":"flushed"}\n',
    });
    expect(agent.calls.flush).toBe(1);
    expect((await ask('/flush?timeoutMs=soon', post)).status).toBe(400);
    const fails = async (error: Error) => {
      const failing = await start(
        {},
        fakeAgentView({
          flush: async ({ timeoutMs }) => {
            throw Object.assign(error, { timeoutMs });
          },
        }),
      );
      const { status, body } = await failing.ask('/flush?timeoutMs=250', post);
      return {
        status,
        ...(JSON.parse(body) as object),
        timeoutMs: (error as { timeoutMs?: number }).timeoutMs,
      };
    };
    const busy = new SyncAgentError('BUSY', 'Cannot tell', { remedy: 'Look' });
    expect(await fails(busy)).toEqual({
      status: 504,
      isSaved: false,
      code: 'BUSY',
      message: 'Cannot tell',
      remedy: 'Look',
      timeoutMs: 250,
    });
    expect(await fails(new SyncAgentError('DENIED', 'Cannot put'))).toMatchObject({
      status: 503,
      code: 'DENIED',
    });
    expect(await fails(new Error('a defect'))).toMatchObject({ status: 503, code: 'INTERNAL' });
  });

  it('HEAD is a GET without its body', async () => {
    const { ask } = await start();
    for (const path of ['/', '/healthz', '/readyz', '/metrics', '/status.json']) {
      const head = await ask(path, { method: 'HEAD' });
      expect({ path, status: head.status, body: head.body }).toEqual({ path, status: 200, body: '' });
      expect(Number(head.headers['content-length'])).toBeGreaterThan(0);
    }
  });

  it('an unknown path is 404', async () => {
    const { ask } = await start();
    for (const path of [
      '/favicon.ico',
      '/metrics/',
      '//',
      '/../etc/passwd',
      '/%00',
      'http://x/metrics',
      '*',
    ]) {
      expect({ path, status: (await ask(path)).status }).toEqual({ path, status: 404 });
    }
  });

  it.each([
    ['POST', '/metrics', 'GET, HEAD'],
    ['DELETE', '/', 'GET, HEAD'],
    ['OPTIONS', '/status.json', 'GET, HEAD'],
    ['GET', '/notify', 'POST'],
    ['PUT', '/notify', 'POST'],
    ['GET', '/flush', 'POST'],
  ])('%s %s is 405, and what is allowed is told', async (method, path, allow) => {
    const { ask, agent } = await start();
    const { status, headers } = await ask(path, { method });
    expect({ status, allow: headers.allow }).toEqual({ status: 405, allow });
    expect([agent.calls.notify, agent.calls.flush]).toEqual([0, 0]);
  });

  it('every answer has headers against frames, sniffing and scripts', async () => {
    const { ask } = await start();
    for (const [path, method] of [
      ['/', 'GET'],
      ['/none', 'GET'],
      ['/notify', 'GET'],
      ['/metrics', 'GET'],
    ] as const) {
      const { headers } = await ask(path, { method });
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; /,
      );
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
        'cross-origin-resource-policy': 'same-origin',
      });
    }
  });
});

describe('who may do what', () => {
  const post = (headers: Record<string, string>): Ask => ({ method: 'POST', headers });
  const statusOf = async (options: Partial<HttpServerOptions>, how: Ask, path = '/notify') => {
    const { ask, agent } = await start(options);
    const { status } = await ask(path, how);
    expect(agent.calls.notify).toBe(status === 202 ? 1 : 0);
    return status;
  };

  it('without a token the server does not start beyond loopback', async () => {
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'agent.example']) {
      await expect(start({ host })).rejects.toMatchObject({
        code: 'USAGE',
        message: expect.stringContaining('there is no token') as string,
        remedy: expect.stringContaining('SYNC_AGENT_HTTP_TOKEN') as string,
      });
    }
  });

  it.each(['127.0.0.1', '0.0.0.0'])('if there is a token, a POST must send it: %s', async (host) => {
    const bearing = (authorization: string) => statusOf({ host, token }, post({ authorization }));
    expect(await statusOf({ host, token }, post({}))).toBe(401);
    expect(await statusOf({ host, token }, post({}), '/flush')).toBe(401);
    expect(await bearing('Bearer wrong-horse-battery')).toBe(401);
    expect(await bearing(`Bearer ${token}x`)).toBe(401);
    expect(await bearing(`Basic ${token}`)).toBe(401);
    expect(await bearing('Bearer')).toBe(401);
    expect(await bearing(token)).toBe(401);
    expect(await bearing(`Bearer ${token}`)).toBe(202);
    expect(await bearing(`bearer ${token}`)).toBe(202);
  });

  it('reads need no token', async () => {
    expect(await statusOf({ host: '0.0.0.0', token }, {}, '/metrics')).toBe(200);
  });

  it.each(['localhost:8477', 'localhost', '127.0.0.1', '127.9.9.9:1', '[::1]:8477', 'app.localhost'])(
    'a browser that calls this host %s is believed',
    async (host) => {
      expect(await statusOf({}, { headers: { host } }, '/status.json')).toBe(200);
      expect(await statusOf({}, post({ host }))).toBe(202);
    },
  );

  it.each(['evil.example', 'evil.example:8477', '127.0.0.1.evil.example', 'localhost.evil.example', '[::2]'])(
    'a name that was rebound to this host is refused, for reads too: %j',
    async (host) => {
      expect(await statusOf({}, { headers: { host } }, '/status.json')).toBe(403);
      expect(await statusOf({}, post({ host }))).toBe(403);
      expect(await statusOf({ token }, post({ host, authorization: `Bearer ${token}` }))).toBe(403);
    },
  );

  it('beyond loopback any host name is accepted with the token', async () => {
    const headers = { host: 'agent.example', authorization: `Bearer ${token}` };
    expect(await statusOf({ host: '0.0.0.0', token }, post(headers))).toBe(202);
  });

  it.each([
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example' },
    { origin: 'http://localhost:3000', host: 'localhost:8477' },
    { origin: 'null' },
  ] as Record<string, string>[])('a page of another site cannot set anything going: %j', async (headers) => {
    expect(await statusOf({}, post(headers))).toBe(403);
    expect(await statusOf({ token }, post({ ...headers, authorization: `Bearer ${token}` }))).toBe(403);
    expect(await statusOf({ token }, post({ ...headers, authorization: `Bearer ${token}` }), '/flush')).toBe(
      403,
    );
  });

  it('a page of this server may, and so may a person', async () => {
    expect(await statusOf({}, post({ host: 'localhost:1', origin: 'http://localhost:1' }))).toBe(202);
    expect(await statusOf({}, post({ 'sec-fetch-site': 'same-origin' }))).toBe(202);
    expect(await statusOf({}, post({ 'sec-fetch-site': 'none' }))).toBe(202);
  });

  it('names that only look like loopback are not loopback', () => {
    for (const host of [
      '127.0.0.1',
      '127.1.2.3',
      '::1',
      '0:0:0:0:0:0:0:1',
      '::ffff:127.0.0.1',
      'LOCALHOST',
      'localhost.',
    ])
      expect({ host, is: isLoopback(host) }).toEqual({ host, is: true });
    for (const host of [
      '0.0.0.0',
      '::',
      '128.0.0.1',
      '::2',
      'localhost.example',
      'notlocalhost',
      '',
      '127.1',
    ])
      expect({ host, is: isLoopback(host) }).toEqual({ host, is: false });
  });
});

describe('limits', () => {
  it('a body that is too long is not read to its end', async () => {
    const { ask, agent } = await start();
    expect((await ask('/notify', { method: 'POST', body: 'x'.repeat(2000) })).status).toBe(413);
    const chunked = { method: 'POST', body: 'x'.repeat(2000), headers: { 'transfer-encoding': 'chunked' } };
    expect((await ask('/notify', chunked)).status).toBe(413);
    expect((await ask('/', { body: 'x'.repeat(2000), headers: { 'content-length': '2000' } })).status).toBe(
      413,
    );
    expect(agent.calls.notify).toBe(0);
  });

  it('headers that are too large are 431', async () => {
    const { server } = await start();
    const answer = await raw(server, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('a request that is not HTTP is 400, and the server goes on', async () => {
    const { server, ask } = await start();
    expect(await raw(server, '\u0016\u0003\u0001 hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect((await ask('/healthz')).status).toBe(200);
  });

  it('a client that stops in the middle of a request is disconnected', async () => {
    const { server } = await start();
    expect(await raw(server, 'GET / HTTP/1.1\r\nhost: local')).toMatch(/^HTTP\/1\.1 408 /);
  }, 20_000);

  it('a client without a Host header may only read, as old health checkers do', async () => {
    const { server } = await start();
    expect(await raw(server, 'GET /healthz HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
    expect(await raw(server, 'POST /notify HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('a hundred scrapers do not make the disk busy', async () => {
    const { ask, agent } = await start();
    await Promise.all(Array.from({ length: 50 }, () => ask('/metrics')));
    for (let i = 0; i < 20; i += 1) await ask('/status.json');
    expect(agent.calls.look).toBe(1);
  });

  it('a path that needs no facts of the disk does not look at it', async () => {
    const { ask, agent } = await start();
    for (const path of ['/healthz', '/readyz', '/none']) await ask(path);
    expect(agent.calls.look).toBe(0);
  });

  it('a disk that hangs does not hang the page', async () => {
    const { ask } = await start({}, fakeAgentView({ look: () => new Promise(() => {}) }));
    const { status, body } = await ask('/status.json');
    expect({ status, local: (JSON.parse(body) as { local: unknown }).local }).toEqual({
      status: 200,
      local: null,
    });
  });

  it('an agent that fails is a 500 that shows no details', async () => {
    const fail = () => {
      throw new Error('secret detail');
    };
    const { ask } = await start({}, fakeAgentView({ status: fail, notify: async () => fail() }));
    for (const answer of [await ask('/status.json'), await ask('/notify', { method: 'POST' })]) {
      expect(answer.status).toBe(500);
      expect(answer.body).not.toContain('secret');
    }
    expect((await ask('/healthz')).status).toBe(200);
  });
});

it('no answer has a credential that an error quoted', async () => {
  const { ask, agent } = await start({ token });
  const message = 'GET https://b.example/k?X-Amz-Signature=deadbeefdeadbeef failed';
  const { failing } = sampleStatuses;
  agent.set({
    ...failing,
    lastError: { ...failing.lastError, message },
    recentEvents: [{ atMs: noon, event: { ...sampleEvents.retry, message } }],
  });
  for (const path of ['/', '/status.json', '/readyz', '/metrics']) {
    const { body } = await ask(path);
    expect(body).not.toContain('deadbeef');
    expect(body).not.toContain(token);
  }
});

describe('the address', () => {
  it('that the user asked for and is taken is an error that says so', async () => {
    const port = await takenPort();
    await expect(start({ port, isPortFixed: true })).rejects.toMatchObject({
      code: 'USAGE',
      message: `Cannot serve HTTP on "127.0.0.1:${port}": another process listens there`,
    });
  });

  it('that is taken and nobody asked for is replaced, with a warning', async () => {
    const port = await takenPort();
    const events: (DaemonEvent | AgentEvent)[] = [];
    const { server, ask } = await start({ port, isPortFixed: false, emit: (event) => events.push(event) });
    expect(new URL(server.url).port).not.toBe(String(port));
    expect((await ask('/healthz')).status).toBe(200);
    expect(events).toMatchObject([
      { type: 'warning', message: expect.stringContaining(server.url) as string },
    ]);
  });

  it('that is not of this host is an error that says so', async () => {
    await expect(start({ host: '192.0.2.1', token })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('this host has no such address') as string,
    });
  });

  it('is reported as a URL', async () => {
    const { server } = await start({ host: '::1' });
    expect(server.url).toMatch(/^http:\/\/\[::1\]:\d+\/$/);
    expect((await fetch(server.url)).status).toBe(200);
  });
});

describe('closing', () => {
  it('takes no more requests, and listens to no more events', async () => {
    const { server, agent } = await start();
    expect(agent.calls.listeners).toBe(1);
    await fetch(server.url);
    await server.close();
    expect(agent.calls.listeners).toBe(0);
    await expect(fetch(server.url)).rejects.toThrow();
  });

  it('does not wait for a client that sends nothing', async () => {
    const { server } = await start();
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write('GET / HTTP/1.1\r\n');
    const began = performance.now();
    await server.close();
    expect(performance.now() - began).toBeLessThan(4000);
    socket.destroy();
  });
});

/** What the server says to exactly these bytes, until it closes. */
async function raw({ url }: HttpServer, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  socket.on('error', () => undefined);
  socket.write(bytes);
  await once(socket, 'close');
  return answer;
}

async function takenPort(): Promise<number> {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  stops.push(async () => {
    other.close();
    await once(other, 'close');
  });
  return (other.address() as AddressInfo).port;
}
