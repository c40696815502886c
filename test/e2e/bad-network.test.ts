import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startCli } from '../support/cli.ts';
import type { CliResult } from '../support/cli.ts';

let root = '';
let server: Server;
const sockets = new Set<Socket>();

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'sync-agent-network-'));
  for (const name of ['a', 'b']) {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, 'f'), 'here');
  }
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server.close();
  rmSync(root, { recursive: true, force: true });
});

/** Accepts every connection, and answers nothing, or one byte of a header a second. */
const manners: readonly (readonly [string, (socket: Socket) => void])[] = [
  ['is silent', () => undefined],
  [
    'trickles',
    (socket) => {
      const text = `HTTP/1.1 200 OK\r\nDate: Sat, 28 Nov 2026 05:00:00 GMT\r\nX-Padding: ${'x'.repeat(4000)}`;
      let sent = 0;
      const timer = setInterval(() => socket.write(text.charAt((sent += 1) - 1)), 1000);
      socket.once('close', () => clearInterval(timer));
    },
  ],
];

async function timed(store: string, ...args: string[]): Promise<CliResult & { readonly seconds: number }> {
  const began = performance.now();
  const result = await startCli(args, {
    cwd: root,
    env: {
      SYNC_AGENT_STORE: join(root, store),
      SYNC_AGENT_REMOTE: 's3://bucket/app',
      SYNC_AGENT_HTTP: 'off',
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: 'key',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_REGION: 'us-east-1',
    },
  }).done;
  return { ...result, seconds: (performance.now() - began) / 1000 };
}

describe.each(manners)('a server that accepts and %s', (_, behave) => {
  it('holds neither a start with a store nor an end for long', async () => {
    server.on('connection', (socket) => {
      socket.resume();
      behave(socket);
    });
    const [start, end] = await Promise.all([
      timed('a', 'restore'),
      timed('b', 'run', '--no-restore', '--shutdown-budget', '6s', '--', 'true'),
    ]);
    console.log(`a start took ${start.seconds.toFixed(1)} s, an end ${end.seconds.toFixed(1)} s`);
    expect(start).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('Going on with what is') as string,
    });
    expect(start.stderr).toContain('no answer within the 20 s that a start waits for it');
    expect(start.seconds).toBeLessThan(32);
    expect(end).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('are in no snapshot') as string,
    });
    expect(end.seconds).toBeLessThan(20);
  }, 90_000);
});
