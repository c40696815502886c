import { Agent, createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Traffic {
  readonly requests: number;
  /** Bytes of bodies, without headers. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface CountingProxy {
  readonly endpoint: string;
  /** The traffic since the last call. */
  take(): Traffic;
  close(): void;
}

/**
 * Passes HTTP on to `target` and counts it. Headers go through as they came, `Host` among them, so that signatures
 * stay valid. It costs time: never measure that through it.
 */
export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(target);
  const agent = new Agent({ keepAlive: true });
  let traffic: Traffic = { requests: 0, sentBytes: 0, receivedBytes: 0 };

  const forward = (incoming: IncomingMessage, answer: ServerResponse): void => {
    traffic = { ...traffic, requests: traffic.requests + 1 };
    const outgoing = request({
      hostname,
      port,
      agent,
      method: incoming.method,
      path: incoming.url,
      headers: incoming.rawHeaders,
      setHost: false,
    });
    outgoing.once('response', (response) => {
      answer.writeHead(response.statusCode ?? 502, response.rawHeaders);
      const received = count((bytes) => {
        traffic = { ...traffic, receivedBytes: traffic.receivedBytes + bytes };
      });
      pipeline(response, received, answer).catch(() => incoming.socket.destroy());
    });
    outgoing.once('error', () => incoming.socket.destroy());
    const sent = count((bytes) => {
      traffic = { ...traffic, sentBytes: traffic.sentBytes + bytes };
    });
    pipeline(incoming, sent, outgoing).catch(() => outgoing.destroy());
  };

  const server = createServer(forward);
  // Clients that ask first are told to go on; the request itself carries their wish to the server.
  server.on('checkContinue', (incoming: IncomingMessage, answer: ServerResponse) => {
    answer.writeContinue();
    forward(incoming, answer);
  });
  server.requestTimeout = 0;
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take: () => {
      const taken = traffic;
      traffic = { requests: 0, sentBytes: 0, receivedBytes: 0 };
      return taken;
    },
    close: () => {
      server.close();
      server.closeAllConnections();
      agent.destroy();
    },
  };
}

function count(add: (bytes: number) => void): Transform {
  return new Transform({
    transform: (chunk: Buffer, _, done) => {
      add(chunk.byteLength);
      done(null, chunk);
    },
  });
}
