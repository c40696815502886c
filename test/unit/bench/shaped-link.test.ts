import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startShapedLink } from '../../../scripts/bench/measure/shaped-link.ts';
import type { LinkSpeed, ShapedLink } from '../../../scripts/bench/measure/shaped-link.ts';

const body = randomBytes(2_000_000);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

let server: Server | undefined;
let link: ShapedLink | undefined;
afterEach(() => {
  link?.close();
  server?.closeAllConnections();
  server?.close();
});

/** GET answers with the body, PUT with the hash of what it got. */
async function startLink(speed: LinkSpeed): Promise<string> {
  server = createServer((request, response) => {
    if (request.url === '/half') {
      response.writeHead(200, { 'content-length': 10 }).write('half');
      return;
    }
    if (request.method === 'GET') {
      response.end(request.url === '/small' ? 'small' : body);
      return;
    }
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.once('end', () => response.end(hash.digest('hex')));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  link = await startShapedLink(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, speed);
  return link.endpoint;
}

async function timed<T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
  const started = performance.now();
  return { value: await work(), ms: performance.now() - started };
}

describe('a shaped link', () => {
  it('carries all bytes both ways, no faster than it may', async () => {
    const endpoint = await startLink({ bytesPerSecond: 10e6, roundTripMs: 0 });
    const down = await timed(async () => new Uint8Array(await (await fetch(endpoint)).arrayBuffer()));
    expect(sha256(down.value)).toBe(sha256(body));
    // A quarter of a megabyte may pass at once.
    expect(down.ms).toBeGreaterThan(150);
    const up = await timed(async () => (await fetch(endpoint, { method: 'PUT', body })).text());
    expect(up.value).toBe(sha256(body));
    expect(up.ms).toBeGreaterThan(150);
  });

  it('is shared by its connections', async () => {
    const endpoint = await startLink({ bytesPerSecond: 40e6, roundTripMs: 0 });
    const { ms } = await timed(() =>
      Promise.all([1, 2, 3, 4].map(async () => (await fetch(endpoint)).arrayBuffer())),
    );
    expect(ms).toBeGreaterThan(180);
  });

  it('takes a round trip to connect and one to answer', async () => {
    const endpoint = await startLink({ bytesPerSecond: 40e6, roundTripMs: 100 });
    const first = await timed(async () => (await fetch(`${endpoint}/small`)).text());
    expect(first.ms).toBeGreaterThan(195);
    const second = await timed(async () => (await fetch(`${endpoint}/small`)).text());
    expect(second.ms).toBeGreaterThan(95);
  });

  it('passes on that the other side is gone', async () => {
    const endpoint = await startLink({ bytesPerSecond: 40e6, roundTripMs: 0 });
    const response = await fetch(`${endpoint}/half`);
    server?.closeAllConnections();
    await expect(response.text()).rejects.toThrow();
  });
});
