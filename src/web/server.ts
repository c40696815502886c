import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { formatHttpAddress } from './http-address.ts';
import type { HttpSettings } from './http-address.ts';
import { SyncAgentError, errnoOf } from '../platform/errors.ts';
import type { AgentEvent, DaemonEvent } from '../platform/events.ts';
import { drainBody } from './drain-body.ts';
import type { HttpSubject } from './http-subject.ts';
import { listen } from './listen.ts';
import { createMetrics } from './metrics/metrics.ts';
import { isLoopback, refuseRead, refuseWrite } from './request-guard.ts';
import { restedLook } from './rested-look.ts';
import { createRoutes } from './routes.ts';
import type { Reply, Route } from './routes.ts';
import { securityHeaders } from './security-headers.ts';

export interface HttpServer {
  /** Ends in `/`. */
  readonly url: string;
  /** Answers what was asked, and takes no more. */
  close(): Promise<void>;
}

export interface HttpServerOptions extends HttpSettings {
  /** Is told when another port had to be taken. */
  readonly emit?: (event: DaemonEvent | AgentEvent) => void;
  /** The wall clock, milliseconds. */
  readonly now?: () => number;
}

const limits = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 5000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5000,
  connectionsCheckingInterval: 1000,
};
const maxConnections = 100;
/** Nobody has a reason to send one. */
const maxBodyBytes = 1024;
const closingMs = 2000;

/**
 * Serves what `subject` knows of itself. Reads are for everybody who can reach the address; to set something going
 * needs the token where there is one, and beyond loopback there has to be one.
 */
export async function startHttpServer(subject: HttpSubject, options: HttpServerOptions): Promise<HttpServer> {
  const { host, token, now = Date.now } = options;
  assertGuarded(options);
  const metrics = createMetrics();
  const look = restedLook(
    () => subject.look(),
    () => performance.now(),
  );
  const routes = createRoutes({ subject, metrics, look, now });
  const server = createServer(limits, (request, response) => {
    answer(request, { routes, host, token }).then(
      (reply) => send(request, response, reply),
      (error: unknown) => {
        // The client went away before it had said all.
        if (errnoOf(error) === 'ECONNRESET') response.destroy();
        else send(request, response, text(500, 'Cannot answer: the agent failed to describe itself'));
      },
    );
  });
  server.maxConnections = maxConnections;
  const { port, isElsewhere } = await listen(server, options);
  // What fails from here on fails for one connection.
  server.on('error', () => undefined);
  const unsubscribe = subject.subscribe((event) => metrics.record(event));
  const address = formatHttpAddress({ host, port });
  if (isElsewhere) {
    options.emit?.({
      type: 'warning',
      code: 'NOTICE',
      message: `Port ${options.port} is taken: the status page is at http://${address}/`,
      remedy: 'Choose a port with --http if something has to find it',
    });
  }
  return {
    url: `http://${address}/`,
    close: async () => {
      unsubscribe();
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeIdleConnections();
      const impatience = setTimeout(() => server.closeAllConnections(), closingMs);
      await closed;
      clearTimeout(impatience);
    },
  };
}

function assertGuarded({ host, port, token }: HttpSettings): void {
  if (isLoopback(host) || token !== undefined) return;
  throw new SyncAgentError(
    'USAGE',
    `Cannot serve HTTP on "${formatHttpAddress({ host, port })}": it is reached from other hosts, and there is no token`,
    { remedy: 'Set SYNC_AGENT_HTTP_TOKEN to a secret of 16 characters or more, or listen on 127.0.0.1' },
  );
}

interface AnswerContext {
  readonly routes: ReadonlyMap<string, Route>;
  readonly host: string;
  readonly token: string | undefined;
}

async function answer(request: IncomingMessage, { routes, host, token }: AnswerContext): Promise<Reply> {
  const { method = '', url = '/', headers } = request;
  const [path = '/', query = ''] = url.split('?', 2);
  const route = routes.get(path);
  const refusal =
    route?.method === 'POST' ? refuseWrite(headers, { host, token }) : refuseRead(headers, { host, token });
  if (refusal !== null) {
    const challenge = refusal.status === 401 ? { 'www-authenticate': 'Bearer realm="sync-agent"' } : {};
    return { ...text(refusal.status, refusal.message), headers: { ...challenge, connection: 'close' } };
  }
  if (route === undefined) return text(404, 'There is nothing here');
  const methods = route.method === 'GET' ? ['GET', 'HEAD'] : ['POST'];
  if (!methods.includes(method)) {
    const reply = text(405, `Cannot ${printableMethod(method)} this: ${methods.join(' or ')} only`);
    return { ...reply, headers: { allow: methods.join(', '), connection: 'close' } };
  }
  if (!(await drainBody(request, maxBodyBytes))) {
    return { ...text(413, 'Cannot take so much: a body is not needed'), headers: { connection: 'close' } };
  }
  return route.reply(new URLSearchParams(query));
}

const text = (status: number, line: string): Reply => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${line}\n`,
});

const printableMethod = (method: string): string => (/^[A-Z]{1,10}$/.test(method) ? method : 'do');

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  if (response.headersSent) return;
  const body = Buffer.from(reply.body);
  response.writeHead(reply.status, {
    ...securityHeaders,
    'content-type': reply.type,
    'content-length': body.length,
    ...reply.headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
