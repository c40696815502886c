import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault, FaultHook, S3Request } from './s3-server/fault.ts';
import { handle, type Answer } from './s3-server/handlers.ts';
import { operationOf } from './s3-server/operation.ts';
import { S3Failure } from './s3-server/s3-failure.ts';
import { verifySignature } from './s3-server/signature.ts';
import { S3State, type Segment } from './s3-server/state.ts';
import { toXml } from './s3-server/xml.ts';

export type { Fault, FaultHook, S3Request } from './s3-server/fault.ts';

export interface S3ServerOptions {
  /** The server's clock against this host's. */
  readonly clockOffsetMs?: number;
  readonly onRequest?: (request: S3Request) => void;
  /** Objects above this cannot be copied in one request; 5 GiB at AWS. */
  readonly maxCopyBytes?: number;
}

export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Every request so far, also those that a fault swallowed. */
  readonly requests: readonly S3Request[];
  /** Creates a bucket without a request. */
  createBucket(name: string): void;
  /** Uploads begun and neither completed nor aborted, in all buckets. */
  unfinishedUploads(): number;
  /** Called for every request from now on; undefined ends it. */
  setFault(hook: FaultHook | undefined): void;
  close(): Promise<void>;
}

/**
 * An S3 server in this process, on a port of its own, that passes the same conformance suite as real ones: it checks
 * signatures and checksums, and enforces If-None-Match. Buckets live until it closes, bodies in a temporary directory.
 */
export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const { clockOffsetMs = 0, onRequest, maxCopyBytes = 5 * 1024 ** 3 } = options;
  const accessKeyId = 'testkey';
  const secretAccessKey = 'testsecret';
  const keys = new Map([[accessKeyId, secretAccessKey]]);
  const directory = await mkdtemp(join(tmpdir(), 'sync-agent-s3-'));
  const state = new S3State();
  const requests: S3Request[] = [];
  const now = (): Date => new Date(Date.now() + clockOffsetMs);
  let hook: FaultHook | undefined;
  let files = 0;

  async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = parseRequest(message, requests.length + 1);
    requests.push(request);
    onRequest?.(request);
    const fault = await hook?.(request);
    if (fault?.type === 'delay') await delay(fault.ms);
    if (strikes(fault, 'before', message, response)) return;
    let answer: Answer;
    try {
      if (fault?.type === 'status' && fault.when !== 'after') throw new S3Failure(fault.status, fault.code);
      verifySignature(message, keys, now().getTime());
      answer = await handle({
        state,
        request,
        message,
        now,
        maxCopyBytes,
        newFile: () => join(directory, String((files += 1))),
      });
      if (strikes(fault, 'after', message, response)) return;
      if (fault?.type === 'status') throw new S3Failure(fault.status, fault.code);
    } catch (error) {
      if (message.destroyed && !message.complete) return;
      answer = failureAnswer(error, request);
    }
    const retryAfter = fault?.type === 'status' ? fault.retryAfterSeconds : undefined;
    response.setHeader('date', now().toUTCString());
    response.setHeader('x-amz-request-id', randomBytes(8).toString('hex'));
    if (retryAfter !== undefined) response.setHeader('retry-after', String(retryAfter));
    await send(message, response, withFault(answer, fault), fault);
  }

  const server = createServer((message, response) => {
    serve(message, response).catch(() => {
      message.socket.destroy();
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'us-east-1',
    accessKeyId,
    secretAccessKey,
    requests,
    createBucket: (name) => {
      state.buckets.set(name, { objects: new Map(), uploads: new Map() });
    },
    unfinishedUploads: () => [...state.buckets.values()].reduce((sum, { uploads }) => sum + uploads.size, 0),
    setFault: (next) => {
      hook = next;
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function parseRequest(message: IncomingMessage, number: number): S3Request {
  const [path = '', search = ''] = (message.url ?? '').split('?', 2);
  const [bucket = '', ...segments] = path.slice(1).split('/');
  const key = decodeURIComponent(segments.join('/'));
  const query = new URLSearchParams(search);
  const { headers, method = '' } = message;
  return { number, operation: operationOf(method, key, query, headers), bucket, key, query, headers };
}

/** Drops or ignores the connection if the fault says so. */
function strikes(
  fault: Fault | undefined,
  when: 'before' | 'after',
  message: IncomingMessage,
  response: ServerResponse,
): boolean {
  if (fault === undefined || (fault.type !== 'drop' && fault.type !== 'hang') || fault.when !== when)
    return false;
  if (fault.type === 'drop') {
    message.socket.destroy();
    response.destroy();
  } else message.resume();
  return true;
}

function failureAnswer(error: unknown, request: S3Request): Answer {
  const { status, code, message } =
    error instanceof S3Failure
      ? error
      : new S3Failure(500, 'InternalError', error instanceof Error ? error.message : String(error));
  const isHead = request.operation === 'HeadObject' || request.operation === 'HeadBucket';
  const body = toXml([
    'Error',
    [
      ['Code', code],
      ['Message', message],
      ['RequestId', String(request.number)],
    ],
  ]);
  return isHead ? { status } : { status, body };
}

/** The answer, edited if the fault says so. */
function withFault(answer: Answer, fault: Fault | undefined): Answer {
  if (fault?.type === 'xml' && typeof answer.body === 'string')
    return { ...answer, body: fault.edit(answer.body) };
  if (fault?.type !== 'header') return answer;
  const others = Object.entries(answer.headers ?? {}).filter(([name]) => name.toLowerCase() !== fault.name);
  const changed = fault.value === undefined ? [] : [[fault.name, fault.value] as const];
  return { ...answer, headers: Object.fromEntries([...others, ...changed]) };
}

async function send(
  message: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  fault: Fault | undefined,
): Promise<void> {
  // An answer may come before the request was read; what is left of it must not be taken for the next one.
  message.resume();
  const { status, headers = {}, body } = answer;
  if (body === undefined || typeof body === 'string') {
    const type = body === undefined ? {} : { 'content-type': 'application/xml' };
    response.writeHead(status, { ...type, ...headers });
    response.end(body);
    return;
  }
  response.writeHead(status, headers);
  if (message.method === 'HEAD') {
    response.end();
    return;
  }
  let position = 0;
  for (const segment of body) {
    for await (const bytes of readSegment(segment)) {
      const limit =
        fault?.type === 'truncate' || fault?.type === 'stall' ? fault.afterBytes - position : Infinity;
      if (bytes.byteLength > limit) {
        response.write(bytes.subarray(0, Math.max(0, limit)), () => {
          if (fault?.type === 'truncate') message.socket.destroy();
        });
        return;
      }
      if (fault?.type === 'flip' && fault.atByte >= position && fault.atByte < position + bytes.byteLength) {
        const index = fault.atByte - position;
        bytes[index] = (bytes[index] ?? 0) ^ 1;
      }
      position += bytes.byteLength;
      if (!response.write(bytes)) await drained(response);
      if (response.destroyed) return;
    }
  }
  response.end();
}

async function* readSegment({ file, start, size }: Segment): AsyncGenerator<Buffer> {
  if (size > 0) yield* createReadStream(file, { start, end: start + size - 1 }) as AsyncIterable<Buffer>;
}

async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.once('drain', done).once('close', done);
  });
}
