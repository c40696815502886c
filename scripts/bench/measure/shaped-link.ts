import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface LinkSpeed {
  /** Of each direction, shared by all connections. */
  readonly bytesPerSecond: number;
  readonly roundTripMs: number;
}

export interface ShapedLink {
  readonly endpoint: string;
  close(): void;
}

/**
 * Passes TCP on to `target` as a link of this speed would: one token bucket for each direction, and half a round trip of delay.
 * A connection is usable after one round trip, as after TCP's handshake. Losses and TCP's slow start are left out.
 */
export async function startShapedLink(target: string, speed: LinkSpeed): Promise<ShapedLink> {
  const { hostname, port } = new URL(target);
  const up = new Lane(speed);
  const down = new Lane(speed);
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true });
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    }
    client.once('error', () => upstream.destroy());
    upstream.once('error', () => client.destroy());
    setTimeout(() => up.carry(client, upstream), speed.roundTripMs);
    down.carry(upstream, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

interface Flow {
  readonly from: Socket;
  readonly to: Socket;
  /** The receiver takes no more for now. */
  isBlocked: boolean;
}

interface Packet {
  readonly flow: Flow;
  /** Undefined is the end of the stream. */
  readonly bytes: Buffer | undefined;
  readonly arrivesAt: number;
}

/** What a router would hold back before it makes the senders wait. */
const queueLimitBytes = 1024 * 1024;

/** What may leave at once after a pause; a timer that is late costs no speed. */
const burstBytes = 256 * 1024;

/** One direction: packets leave in the order in which they came, at the link's speed, and arrive half a round trip later. */
class Lane {
  readonly #bytesPerMs: number;
  readonly #delayMs: number;
  readonly #packets: Packet[] = [];
  readonly #flows = new Set<Flow>();
  #freeAt = 0;
  #isFull = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ bytesPerSecond, roundTripMs }: LinkSpeed) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#delayMs = roundTripMs / 2;
  }

  carry(from: Socket, to: Socket): void {
    const flow: Flow = { from, to, isBlocked: false };
    this.#flows.add(flow);
    from.on('data', (bytes: Buffer) => this.#push(flow, bytes));
    from.once('end', () => this.#push(flow, undefined));
    from.once('close', () => this.#flows.delete(flow));
    to.on('drain', () => {
      flow.isBlocked = false;
      this.#steer(flow);
    });
    this.#steer(flow);
  }

  #push(flow: Flow, bytes: Buffer | undefined): void {
    const now = performance.now();
    this.#freeAt = Math.max(this.#freeAt, now - burstBytes / this.#bytesPerMs);
    this.#freeAt += (bytes?.byteLength ?? 0) / this.#bytesPerMs;
    this.#packets.push({ flow, bytes, arrivesAt: Math.max(this.#freeAt, now) + this.#delayMs });
    this.#lookAtQueue();
    this.#schedule();
  }

  #schedule(): void {
    const [next] = this.#packets;
    if (next === undefined || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.#deliver(), next.arrivesAt - performance.now());
  }

  #deliver(): void {
    this.#timer = undefined;
    for (;;) {
      const [next] = this.#packets;
      if (next === undefined || next.arrivesAt > performance.now()) break;
      this.#packets.shift();
      const { flow, bytes } = next;
      if (bytes === undefined) flow.to.end();
      else if (!flow.to.write(bytes)) {
        flow.isBlocked = true;
        this.#steer(flow);
      }
    }
    this.#lookAtQueue();
    this.#schedule();
  }

  #lookAtQueue(): void {
    const isFull = (this.#freeAt - performance.now()) * this.#bytesPerMs > queueLimitBytes;
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    for (const flow of this.#flows) this.#steer(flow);
  }

  #steer({ from, isBlocked }: Flow): void {
    if (this.#isFull || isBlocked) from.pause();
    else from.resume();
  }
}
