import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ChromaRequest {
  /** `add`, `upsert`, `get`, `delete` of records; the last word of any other path. */
  readonly operation: string;
  /** Of the body. */
  readonly ids: readonly string[];
}

/**
 * `hang`: the server never sees it, and there is no answer. `lose`: the server does it, and there is no answer. `cut`: the same, and the
 * connection ends. `fail`: the answer is an
 * error of the server.
 */
export type ChromaFault = 'hang' | 'lose' | 'cut' | 'fail' | undefined;

export interface ChromaProxy {
  readonly url: string;
  readonly requests: readonly ChromaRequest[];
  close(): Promise<void>;
}

/** Stands before a real server, and fails some requests as a busy one does. */
export async function startChromaProxy(
  server: string,
  faultOf: (request: ChromaRequest) => ChromaFault,
): Promise<ChromaProxy> {
  const requests: ChromaRequest[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const path = request.url ?? '/';
    const sent = body.length === 0 ? {} : (JSON.parse(body.toString()) as { readonly ids?: string[] });
    const seen = { operation: path.split('/').at(-1) ?? '', ids: sent.ids ?? [] };
    requests.push(seen);
    const fault = faultOf(seen);
    if (fault === 'hang') return;
    const { method = 'GET' } = request;
    if (fault === 'fail') return void response.writeHead(500).end('{"error":"InternalError"}');
    const headers = { 'content-type': 'application/json' };
    const answered = await fetch(server + path, { method, headers, ...(body.length === 0 ? {} : { body }) });
    const text = await answered.text();
    if (fault === 'cut') response.destroy();
    if (fault === undefined) response.writeHead(answered.status, headers).end(text);
  };
  const proxy = createServer((request, response) => {
    answer(request, response).catch((error: Error) => response.destroy(error));
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    requests,
    close: async () => {
      proxy.closeAllConnections();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}
