import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startCli } from '../support/cli.ts';
import type { CliResult } from '../support/cli.ts';

/** Stores `a` and `b`, and a server that does with each connection what it is told. */
class Scene {
  readonly root = mkdtempSync(join(tmpdir(), 'sync-agent-network-'));
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(behave: (socket: Socket) => void) {
    for (const name of ['a', 'b']) {
      mkdirSync(join(this.root, name));
      writeFileSync(join(this.root, name, 'f'), 'here');
    }
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined).resume();
      behave(socket);
    });
  }

  async timed(store: string, ...args: string[]): Promise<CliResult & { readonly seconds: number }> {
    const began = performance.now();
    const result = await startCli(args, {
      cwd: this.root,
      env: {
        SYNC_AGENT_STORE: join(this.root, store),
        SYNC_AGENT_REMOTE: 's3://bucket/app',
        SYNC_AGENT_HTTP: 'off',
        AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
        AWS_ACCESS_KEY_ID: 'key',
        AWS_SECRET_ACCESS_KEY: 'secret',
        AWS_REGION: 'us-east-1',
      },
    }).done;
    return { ...result, seconds: (performance.now() - began) / 1000 };
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

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

// Side by side: they wait for what does not come.
describe.concurrent.each(manners)('a server that accepts and %s', (_, behave) => {
  it('holds neither a start with a store nor an end for long', async () => {
    const scene = new Scene(behave);
    try {
      await scene.open();
      const [start, end] = await Promise.all([
        scene.timed('a', 'restore'),
        scene.timed('b', 'run', '--no-restore', '--shutdown-budget', '6s', '--', 'true'),
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
    } finally {
      scene.close();
    }
  }, 90_000);
});
