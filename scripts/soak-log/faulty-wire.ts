import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Trouble } from './trouble.ts';

/** The pause before an attempt, that attempt, and the tries within it. */
const recoveryMs = 8000;

/** A TCP proxy before the S3 server, whose wire can be spoilt. It knows nothing of HTTP. */
export interface FaultyWire {
  readonly endpoint: string;
  /** Whatever was done to it. */
  readonly troubles: Trouble[];
  /** The longest time from the last byte of a request to the first of its answer, with a whole wire, milliseconds; and starts anew. */
  takeLongestMs(): number;
  /** Each open connection is reset. */
  reset(): void;
  /** No byte passes for so long. */
  stall(ms: number): void;
  /** Each connection is reset, and none taken, for so long. */
  cut(ms: number): void;
  /** Ends what is going on. */
  mend(): void;
  close(): Promise<void>;
}

export async function openWire(upstream: string): Promise<FaultyWire> {
  const target = new URL(upstream);
  const troubles: Trouble[] = [];
  const pairs = new Set<readonly [Socket, Socket]>();
  let longestMs = 0;
  let isCut = false;
  let isStalled = false;
  let current: Trouble | undefined;
  let timer: NodeJS.Timeout | undefined;

  const server = createServer((client) => {
    if (isCut) return void client.resetAndDestroy();
    const remote = connect(Number(target.port), target.hostname);
    const pair = [client, remote] as const;
    pairs.add(pair);
    let askedAtMs: number | undefined;
    client.on('data', (chunk) => {
      askedAtMs = Date.now();
      if (!remote.write(chunk)) client.pause();
    });
    remote.on('data', (chunk) => {
      if (askedAtMs !== undefined && current === undefined)
        longestMs = Math.max(longestMs, Date.now() - askedAtMs);
      askedAtMs = undefined;
      if (!client.write(chunk)) remote.pause();
    });
    const goOn = (): void => {
      if (isStalled) return;
      client.resume();
      remote.resume();
    };
    client.on('drain', goOn);
    remote.on('drain', goOn);
    for (const [one, other] of [pair, [remote, client] as const]) {
      one
        .on('error', () => other.destroy())
        .on('close', () => {
          pairs.delete(pair);
          other.destroy();
        });
    }
    if (isStalled) pause(pair);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const pause = (pair: readonly [Socket, Socket]): void => pair.forEach((socket) => socket.pause());
  const resetAll = (): void => {
    for (const [client, remote] of pairs) {
      client.resetAndDestroy();
      remote.destroy();
    }
  };
  const mend = (): void => {
    clearTimeout(timer);
    if (current !== undefined) current.toMs = Date.now();
    current = undefined;
    isCut = false;
    if (isStalled) for (const pair of pairs) pair.forEach((socket) => socket.resume());
    isStalled = false;
  };
  const begin = (why: string, ms: number): void => {
    mend();
    current = { why, fromMs: Date.now(), toMs: undefined, recoveryMs };
    troubles.push(current);
    timer = setTimeout(mend, ms);
  };
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    troubles,
    takeLongestMs: () => {
      const taken = longestMs;
      longestMs = 0;
      return taken;
    },
    reset: () => {
      const now = Date.now();
      troubles.push({ why: 'reset', fromMs: now, toMs: now, recoveryMs });
      resetAll();
    },
    stall: (ms) => {
      begin('stall', ms);
      isStalled = true;
      for (const pair of pairs) pause(pair);
    },
    cut: (ms) => {
      begin('cut', ms);
      isCut = true;
      resetAll();
    },
    mend,
    close: async () => {
      mend();
      server.close();
      resetAll();
    },
  };
}
