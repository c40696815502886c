import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, request as sendRequest } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { operationOf } from './s3-server/operation.ts';
import type { S3Operation } from './s3-server/operation.ts';

/** What a hook and the log see of one request. */
export interface ProxiedRequest {
  /** 1 for the first request of this proxy. */
  readonly number: number;
  readonly operation: S3Operation;
  readonly bucket: string;
  readonly key: string;
  readonly headers: IncomingMessage['headers'];
}

type When = 'before' | 'during' | 'after';

/**
 * What goes wrong with one request. `before`: the server never sees it; `during`: it sees half of the body; `after`:
 * it takes effect and the answer is lost. Shares are of the answer's body, in [0, 1).
 */
export type ProxyFault =
  | {
      readonly type: 'status';
      readonly status: number;
      readonly code: string;
      readonly message?: string;
      readonly retryAfterSeconds?: number;
      readonly when?: 'before' | 'after';
    }
  /** The connection ends: by RST, or `politely` by FIN. */
  | { readonly type: 'reset'; readonly when: When; readonly politely?: boolean }
  /** Nothing listens for so long, and all connections are gone. */
  | { readonly type: 'refuse'; readonly ms: number }
  | { readonly type: 'hang'; readonly when: 'before' | 'after' }
  /** The answer comes in ten pieces with this pause before each. */
  | { readonly type: 'slow'; readonly pauseMs: number }
  | { readonly type: 'truncate'; readonly share: number }
  | { readonly type: 'stall'; readonly share: number }
  | { readonly type: 'flip'; readonly share: number; readonly bit: number }
  /** A Content-Length that is wrong by so many bytes; then the connection ends or falls silent. */
  | { readonly type: 'length'; readonly by: number; readonly ending: 'close' | 'stall' }
  /** 200 with this body instead of the answer, which the server never sees. */
  | { readonly type: 'replace'; readonly body: string }
  /** The request is sent twice; the client gets that answer. */
  | { readonly type: 'duplicate'; readonly answer: 'first' | 'second' }
  /** The request arrives once more, after so many others. */
  | { readonly type: 'again-later'; readonly requests: number };

export type ProxyHook = (request: ProxiedRequest) => ProxyFault | undefined | Promise<ProxyFault | undefined>;

export interface FaultProxy {
  readonly endpoint: string;
  readonly requests: readonly ProxiedRequest[];
  /** One line for each fault that struck. */
  readonly log: readonly string[];
  /** Called for every request from now on; undefined ends it. */
  setFault(hook: ProxyHook | undefined): void;
  /** Nothing listens until `accept`: connections are refused. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  close(): Promise<void>;
}

interface Forwarded {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  /** Name, value, name, value … */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

/**
 * A proxy on a loopback port before a plain HTTP S3 server with the bucket in the path, in this process or a real one.
 * Requests reach it as the client signed them, the Host header included. Bodies are held in memory.
 */
export async function startFaultProxy(upstream: string): Promise<FaultProxy> {
  const target = new URL(upstream);
  const agent = new Agent({ keepAlive: true });
  const requests: ProxiedRequest[] = [];
  const log: string[] = [];
  const sockets = new Set<Socket>();
  const later: { readonly request: Forwarded; readonly at: number }[] = [];
  let hook: ProxyHook | undefined;
  let port = 0;
  let isClosed = false;

  const forward = (request: Forwarded, until?: number): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const outgoing = sendRequest(
        {
          agent,
          host: target.hostname,
          port: target.port,
          method: request.method,
          path: request.url,
          setHost: false,
          headers: endToEnd(request.rawHeaders),
        },
        (incoming) => {
          readAll(incoming).then(
            (body) => resolve({ status: incoming.statusCode ?? 502, rawHeaders: incoming.rawHeaders, body }),
            reject,
          );
        },
      );
      outgoing.on('error', reject);
      if (until === undefined) outgoing.end(request.body);
      else outgoing.write(request.body.subarray(0, until), () => outgoing.destroy());
    });

  let transition = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => (transition = transition.then(work, work));
  const refuse = (): Promise<void> =>
    inTurn(async () => {
      if (!server.listening) return;
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.resetAndDestroy();
      await closed;
    });
  const accept = (): Promise<void> =>
    inTurn(async () => {
      if (server.listening || isClosed) return;
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    });

  async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = parseRequest(message, requests.length + 1);
    requests.push(request);
    const fault = await hook?.(request);
    if (fault !== undefined) {
      log.push(`${request.number} ${request.operation} ${request.key}: ${JSON.stringify(fault)}`);
    }
    for (const due of later.filter(({ at }) => at <= request.number)) {
      later.splice(later.indexOf(due), 1);
      await forward(due.request).catch(() => undefined);
    }
    if (fault?.type === 'refuse') {
      await refuse();
      void delay(fault.ms)
        .then(accept)
        .catch(() => undefined);
      return;
    }
    if (fault?.type === 'hang' && fault.when === 'before') return void message.resume();
    if (fault?.type === 'reset' && fault.when === 'before') return cut(message.socket, fault.politely);

    const { method = '', url = '', rawHeaders } = message;
    const forwarded = { method, url, rawHeaders, body: await readAll(message) };
    if (fault?.type === 'reset' && fault.when === 'during') {
      const half = forwarded.body.length >> 1;
      if (half > 0) await forward(forwarded, half).catch(() => undefined);
      return cut(message.socket, fault.politely);
    }
    if (fault?.type === 'status' && fault.when !== 'after') return send(response, statusAnswer(fault));
    if (fault?.type === 'replace') {
      return send(response, { status: 200, rawHeaders: [], body: Buffer.from(fault.body) });
    }
    let answer = await forward(forwarded);
    if (fault?.type === 'duplicate') {
      const second = await forward(forwarded);
      if (fault.answer === 'second') answer = second;
    }
    if (fault?.type === 'again-later')
      later.push({ request: forwarded, at: request.number + fault.requests });
    if (fault?.type === 'hang') return;
    if (fault?.type === 'reset') return cut(message.socket, fault.politely);
    if (fault?.type === 'status') return send(response, statusAnswer(fault));
    await sendFaulty(response, answer, method === 'HEAD' ? undefined : fault);
  }

  const server = createServer((message, response) => {
    serve(message, response).catch(() => {
      message.socket.destroy();
    });
  });
  server.keepAliveTimeout = 60_000;
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  await accept();
  ({ port } = server.address() as AddressInfo);

  return {
    endpoint: `http://127.0.0.1:${port}`,
    requests,
    log,
    setFault: (next) => {
      hook = next;
    },
    refuse,
    accept,
    close: async () => {
      isClosed = true;
      await refuse();
      agent.destroy();
    },
  };
}

export interface SeededFaultOptions {
  /** Share of the requests that are struck, at first sight; repeats of one request are struck less often. */
  readonly rate: number;
  /** Longer than the client waits, or shorter, milliseconds. */
  readonly stallTimeoutMs: number;
  /** Which answers may come damaged in that way: those in which somebody notices. */
  readonly mayDamage: (request: ProxiedRequest, how: 'flip' | 'length') => boolean;
}

/** Faults of every transient kind, the same for the same seed, request index and request. */
export function seededFaults(seed: number, options: SeededFaultOptions): ProxyHook {
  const damaged = new Map<string, number>();
  /** A first mismatch may be the network's; soon again, and it would be the object's. */
  const mayDamage = (request: ProxiedRequest, how: 'flip' | 'length'): boolean => {
    const { key, number } = request;
    if (!options.mayDamage(request, how)) return false;
    if (number - (damaged.get(key) ?? Number.NEGATIVE_INFINITY) < 60) return false;
    damaged.set(key, number);
    return true;
  };
  return (request) => {
    const { operation, number } = request;
    const random = chances(`${seed}/${number}`);
    if (random() >= options.rate) return undefined;
    const kinds = kindsFor(operation);
    const kind = kinds[Math.floor(random() * kinds.length)];
    const share = random();
    const coin = random() < 0.5;
    switch (kind) {
      case 'status': {
        const [status, code] = pick(passingAnswers, random());
        const when = random() < 0.5 && isWrite(operation) ? 'after' : 'before';
        return { type: 'status', status, code, when, ...(status === 429 ? { retryAfterSeconds: 1 } : {}) };
      }
      case 'reset':
        return { type: 'reset', when: pick(['before', 'during', 'after'], share), politely: coin };
      case 'refuse':
        return { type: 'refuse', ms: Math.floor(share * 80) };
      case 'hang':
        return { type: 'hang', when: coin ? 'before' : 'after' };
      case 'slow':
        return { type: 'slow', pauseMs: Math.floor((share * options.stallTimeoutMs) / 8) };
      case 'truncate':
        return { type: 'truncate', share };
      case 'stall':
        return { type: 'stall', share };
      case 'flip':
        if (!mayDamage(request, 'flip')) return undefined;
        return { type: 'flip', share, bit: Math.floor(random() * 8) };
      case 'length':
        if (!mayDamage(request, 'length')) return undefined;
        return { type: 'length', by: 1 + Math.floor(share * 1000), ending: coin ? 'close' : 'stall' };
      case 'duplicate':
        return { type: 'duplicate', answer: coin ? 'first' : 'second' };
      case 'again-later':
        return { type: 'again-later', requests: 1 + Math.floor(share * 40) };
      case undefined:
        return undefined;
      default:
        return kind satisfies never;
    }
  };
}

/** Uniform numbers in [0, 1), the same for the same text. */
export function chances(text: string): () => number {
  let count = 0;
  return () => {
    const digest = createHash('sha256')
      .update(`${text}/${(count += 1)}`)
      .digest();
    return digest.readUInt32BE() / 2 ** 32;
  };
}

const passingAnswers = [
  [500, 'InternalError'],
  [502, 'BadGateway'],
  [503, 'SlowDown'],
  [503, 'ServiceUnavailable'],
  [429, 'TooManyRequests'],
  [400, 'RequestTimeout'],
] as const;

const always = ['status', 'reset', 'reset', 'refuse', 'hang', 'slow'] as const;
const withAnswer = ['truncate', 'stall', 'length'] as const;

function kindsFor(operation: S3Operation) {
  if (operation === 'GetObject') return [...always, ...withAnswer, 'flip'] as const;
  return isWrite(operation)
    ? ([...always, 'duplicate', 'again-later'] as const)
    : ([...always, ...withAnswer] as const);
}

export function isWrite(operation: S3Operation): boolean {
  return !/^(Get|Head|List)/.test(operation);
}

function pick<const T extends readonly [unknown, ...unknown[]]>(choices: T, chance: number): T[number] {
  return choices[Math.floor(chance * choices.length)];
}

function parseRequest(message: IncomingMessage, number: number): ProxiedRequest {
  const [path = '', search = ''] = (message.url ?? '').split('?', 2);
  const [bucket = '', ...segments] = path.slice(1).split('/');
  const key = decodeURIComponent(segments.join('/'));
  const { headers, method = '' } = message;
  const operation = operationOf(method, key, new URLSearchParams(search), headers);
  return { number, operation, bucket, key, headers };
}

async function readAll(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'content-length'];

/** What is meant for the other end; the connection here has its own framing. */
function endToEnd(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
    const isFraming = hopByHop.includes(name.toLowerCase()) && name.toLowerCase() !== 'content-length';
    if (!isFraming) kept.push(name, value);
  }
  return kept;
}

function statusAnswer(fault: Extract<ProxyFault, { type: 'status' }>): Answer {
  const { status, code, message = code, retryAfterSeconds } = fault;
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${escapeXml(message)}</Message></Error>`;
  return {
    status,
    rawHeaders: [
      'content-type',
      'application/xml',
      'date',
      new Date().toUTCString(),
      ...(retryAfterSeconds === undefined ? [] : ['retry-after', String(retryAfterSeconds)]),
    ],
    body: Buffer.from(body),
  };
}

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

function cut(socket: Socket, politely = false): void {
  if (politely) socket.destroy();
  else socket.resetAndDestroy();
}

function send(response: ServerResponse, { status, rawHeaders, body }: Answer): void {
  writeHead(response, status, rawHeaders, body.length);
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

function writeHead(
  response: ServerResponse,
  status: number,
  rawHeaders: readonly string[],
  length: number,
): void {
  // An answer to HEAD, and 204 or 304, keeps the length that the server gave it.
  const isBare = response.req.method === 'HEAD' || status === 204 || status === 304;
  const kept: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
    if (!hopByHop.includes(name.toLowerCase()) || (isBare && name.toLowerCase() === 'content-length')) {
      kept.push(name, value);
    }
  }
  response.writeHead(status, isBare ? kept : [...kept, 'content-length', String(length)]);
}

async function sendFaulty(
  response: ServerResponse,
  answer: Answer,
  fault: ProxyFault | undefined,
): Promise<void> {
  const { status, rawHeaders, body } = answer;
  switch (fault?.type) {
    case 'truncate':
    case 'stall': {
      writeHead(response, status, rawHeaders, body.length);
      await write(response, body.subarray(0, Math.floor(fault.share * body.length)));
      if (fault.type === 'truncate') response.socket?.destroy();
      return;
    }
    case 'flip': {
      const flipped = Buffer.from(body);
      const index = Math.floor(fault.share * body.length);
      flipped[index] = (flipped[index] ?? 0) ^ (1 << fault.bit);
      send(response, { ...answer, body: flipped.subarray(0, body.length) });
      return;
    }
    case 'length': {
      writeHead(response, status, rawHeaders, Math.max(0, body.length + fault.by));
      await write(response, body);
      if (fault.ending === 'close') response.socket?.end();
      return;
    }
    case 'slow': {
      writeHead(response, status, rawHeaders, body.length);
      const step = Math.max(1, Math.ceil(body.length / 10));
      for (let position = 0; position < body.length; position += step) {
        await delay(fault.pauseMs);
        if (response.destroyed) return;
        await write(response, body.subarray(position, position + step));
      }
      response.end();
      return;
    }
    default:
      send(response, answer);
  }
}

async function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  response.flushHeaders();
  if (bytes.byteLength === 0) return;
  await new Promise<void>((resolve) => {
    response.write(bytes, () => resolve());
  });
}
