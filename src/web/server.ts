import { createServer } from 'node:http';
import { answerRequest, sendReply, textReply } from './answer-request.ts';
import { formatHttpAddress } from './http-address.ts';
import type { HttpSettings } from './http-address.ts';
import { SyncAgentError, errnoOf } from '../platform/errors.ts';
import type { AgentEvent, DaemonEvent } from '../platform/events.ts';
import { listen } from './listen.ts';
import { createMetrics } from './metrics/metrics.ts';
import { isLoopback } from './request-guard.ts';
import { restedLook } from './rested-look.ts';
import { createRoutes } from './routes.ts';
import type { AgentView } from './routes.ts';

export interface HttpServer {
  /** Ends in `/`. */
  readonly url: string;
  /** Takes no new requests, and resolves once the running ones are answered or cut off after two seconds. */
  close(): Promise<void>;
}

export interface HttpServerOptions extends HttpSettings {
  /** Receives a warning if the server had to take another port. */
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
const closingMs = 2000;

/**
 * Serves status page, health and metrics of `agent`. Everybody who can reach the address may read. POST requests must send the
 * token, if there is one. An address beyond loopback must have a token.
 */
export async function startHttpServer(agent: AgentView, options: HttpServerOptions): Promise<HttpServer> {
  const { host, token, now = Date.now } = options;
  assertGuarded(options);
  const metrics = createMetrics();
  const look = restedLook(
    () => agent.look(),
    () => performance.now(),
  );
  const routes = createRoutes({ agent, metrics, look, now });
  const server = createServer(limits, (request, response) => {
    answerRequest(request, { routes, host, token }).then(
      (reply) => sendReply(request, response, reply),
      (error: unknown) => {
        // The client closed the connection in the middle of its request.
        if (errnoOf(error) === 'ECONNRESET') response.destroy();
        else
          sendReply(request, response, textReply(500, 'Cannot answer: the agent failed to describe itself'));
      },
    );
  });
  server.maxConnections = maxConnections;
  const { port, isElsewhere } = await listen(server, options);
  // From here on an error concerns one connection only.
  server.on('error', () => undefined);
  const unsubscribe = agent.subscribe((event) => metrics.record(event));
  const address = formatHttpAddress({ host, port });
  if (isElsewhere) {
    options.emit?.({
      type: 'warning',
      code: 'NOTICE',
      message: `Port ${options.port} is taken: the status page is at http://${address}/`,
      remedy: 'Choose a port with --http if other programs must find the page',
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
    `Cannot serve HTTP on "${formatHttpAddress({ host, port })}": other hosts can reach it, and there is no token`,
    { remedy: 'Set SYNC_AGENT_HTTP_TOKEN to a secret of 16 characters or more, or listen on 127.0.0.1' },
  );
}
