import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { startShapedLink } from './shaped-link.ts';
import type { LinkSpeed } from './shaped-link.ts';

export interface LinkCeiling {
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
  /** The median of small messages and their answers. */
  readonly roundTripMs: number;
}

const totalBytes = 80_000_000;
const chunk = Buffer.alloc(64 * 1024);

/** What a plain transfer over one connection reaches: no tool can do better. */
export async function measureLinkCeiling(speed: LinkSpeed): Promise<LinkCeiling> {
  const server = createServer((socket) => void serve(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const link = await startShapedLink(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, speed);
  const { port } = new URL(link.endpoint);
  try {
    const upMs = await exchange(Number(port), 'u', totalBytes);
    const downMs = await exchange(Number(port), 'd', totalBytes);
    const socket = connect(Number(port), '127.0.0.1');
    const trips: number[] = [];
    for (let trip = 0; trip < 21; trip += 1) {
      const started = performance.now();
      socket.write('e');
      await once(socket, 'data');
      trips.push(performance.now() - started);
    }
    socket.destroy();
    return {
      upBytesPerSecond: (totalBytes / upMs) * 1000,
      downBytesPerSecond: (totalBytes / downMs) * 1000,
      roundTripMs: trips.toSorted((a, b) => a - b)[10] ?? NaN,
    };
  } finally {
    link.close();
    server.close();
  }
}

/** Asked by the first byte: `u` takes all and answers at the end, `d` sends all, `e` echoes. */
async function serve(socket: Socket): Promise<void> {
  socket.on('error', () => socket.destroy());
  let taken = 0;
  let wish: string | undefined;
  for await (const bytes of socket as AsyncIterable<Buffer>) {
    wish ??= String.fromCharCode(bytes[0] ?? 0);
    taken += bytes.byteLength;
    if (wish === 'e') socket.write(bytes);
    if (wish === 'u' && taken > totalBytes) socket.write('!');
    if (wish === 'd') await send(socket, totalBytes);
  }
}

async function exchange(port: number, wish: 'u' | 'd', bytes: number): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  const started = performance.now();
  socket.write(wish);
  if (wish === 'u') {
    const answered = once(socket, 'data');
    await send(socket, bytes);
    await answered;
  } else {
    let received = 0;
    for await (const part of socket as AsyncIterable<Buffer>) {
      received += part.byteLength;
      if (received >= bytes) break;
    }
  }
  const wallMs = performance.now() - started;
  socket.destroy();
  return wallMs;
}

async function send(socket: Socket, bytes: number): Promise<void> {
  for (let sent = 0; sent < bytes;) {
    const part = chunk.subarray(0, Math.min(chunk.byteLength, bytes - sent));
    sent += part.byteLength;
    if (!socket.write(part)) await once(socket, 'drain');
  }
}
