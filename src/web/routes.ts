import { redact } from '../report/redact.ts';
import type { DaemonStatus, RecordedEvent } from '../api/daemon-status.ts';
import type { DiskFacts } from './disk-facts.ts';
import type { Metrics } from './metrics/metrics.ts';
import { json } from './json-reply.ts';
import { readinessOf } from './readiness.ts';
import { flushReply } from './flush-reply.ts';
import { statusPage } from './page/status-page.ts';

/** The agent as the HTTP server sees it. No call makes a request to the remote. */
export interface AgentView {
  /** From memory. */
  status(): DaemonStatus;
  /** The application says that it wrote. Resolves when that is noted, before anything is backed up. */
  notify(): Promise<void>;
  /** Resolves when all that the store acknowledged before the call is in the remote. */
  flush(options: { readonly timeoutMs?: number }): Promise<{ readonly type: string }>;
  /** Calls `listener` for each event from now on. Returns the function that ends it. */
  subscribe(listener: (event: RecordedEvent) => void): () => void;
  /** Looks at the local disk. Callers pause between looks: see `rested-look.ts`. */
  look(): Promise<DiskFacts>;
}

export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  /** A GET route answers HEAD too. */
  readonly method: 'GET' | 'POST';
  readonly reply: (query: URLSearchParams) => Promise<Reply>;
}

export interface RouteContext {
  readonly agent: AgentView;
  readonly metrics: Metrics;
  readonly look: () => Promise<DiskFacts | null>;
  readonly now: () => number;
}

/** All routes, by their path. */
export function createRoutes({ agent, metrics, look, now }: RouteContext): ReadonlyMap<string, Route> {
  const get = (reply: Route['reply']): Route => ({ method: 'GET', reply });
  return new Map<string, Route>([
    ['/healthz', get(async () => ({ status: 200, type: 'text/plain; charset=utf-8', body: 'ok\n' }))],
    [
      '/readyz',
      get(async () => {
        const { isReady, reasons } = readinessOf(redact(agent.status()), now());
        return json(isReady ? 200 : 503, { ready: isReady, reasons });
      }),
    ],
    [
      '/metrics',
      get(async () => ({
        status: 200,
        type: metrics.contentType,
        body: await metrics.render(agent.status(), await look()),
      })),
    ],
    ['/status.json', get(async () => json(200, { ...redact(agent.status()), local: await look() }))],
    [
      '/',
      get(async (query) => ({
        status: 200,
        type: 'text/html; charset=utf-8',
        body: statusPage(redact(agent.status()), await look(), now(), {
          refreshes: query.get('refresh') !== 'off',
        }),
      })),
    ],
    [
      '/notify',
      {
        method: 'POST',
        reply: async () => {
          await agent.notify();
          return json(202, { accepted: true });
        },
      },
    ],
    ['/flush', { method: 'POST', reply: (query) => flushReply(agent, query) }],
  ]);
}
