import { createHash, randomBytes } from 'node:crypto';
import { createServer, request } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createSecureServer, request as requestSecurely } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { wideAgents } from '../../../src/remotes/s3/connection/wide-reads.ts';
import { makeCertificate } from '../../support/certificate.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const bytes = randomBytes(5_000_000);
const answer: RequestListener = (_, response) => void response.end(bytes);

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listen(server: Server): Promise<number> {
  closing.push(() => server.close());
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** What came, and whether the connection had been used before. The reader pauses for a moment after each chunk. */
function fetchWith(send: typeof request, options: object): Promise<{ chunks: Buffer[]; reused: boolean }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const sent = send({ host: '127.0.0.1', ...options }, (response) => {
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        response.pause();
        setImmediate(() => response.resume());
      });
      response.on('error', reject);
      response.on('end', () => resolve({ chunks, reused: sent.reusedSocket }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

it('reads in large chunks, which stay as they are, and keeps the connection', async () => {
  const port = await listen(createServer(answer));
  const { http } = wideAgents({ keepAlive: true });
  closing.push(() => http.destroy());
  for (const reused of [false, true]) {
    const found = await fetchWith(request, { port, agent: http });
    expect(sha256(Buffer.concat(found.chunks))).toBe(sha256(bytes));
    expect(Math.max(...found.chunks.map(({ byteLength }) => byteLength))).toBeGreaterThan(64 * 1024);
    expect(found.reused).toBe(reused);
  }
});

it('reads through TLS, and trusts whom it is told to', async () => {
  const { key, cert } = makeCertificate();
  const port = await listen(createSecureServer({ key, cert }, answer));
  const { https } = wideAgents({ keepAlive: true, ca: cert } as object);
  closing.push(() => https.destroy());
  const found = await fetchWith(requestSecurely, { port, agent: https });
  expect(sha256(Buffer.concat(found.chunks))).toBe(sha256(bytes));
  const { https: trustsNobody } = wideAgents({ keepAlive: true });
  await expect(fetchWith(requestSecurely, { port, agent: trustsNobody })).rejects.toThrow(/self.signed/);
});

it('fails when the connection breaks in the middle of a body', async () => {
  const port = await listen(
    createServer((_, response) => {
      response.writeHead(200, { 'content-length': bytes.byteLength });
      response.write(bytes.subarray(0, 1_000_000), () => response.socket?.destroy());
    }),
  );
  const { http } = wideAgents({ keepAlive: true });
  closing.push(() => http.destroy());
  await expect(fetchWith(request, { port, agent: http })).rejects.toThrow('aborted');
});
