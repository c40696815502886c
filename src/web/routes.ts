import { redact } from '../report/redact.ts';
import type { HttpSubject, LocalFacts } from './http-subject.ts';
import type { Metrics } from './metrics/metrics.ts';
import { readinessOf } from './readiness.ts';
import { statusPage } from './page/status-page.ts';

export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  /** GET answers HEAD, too. */
  readonly method: 'GET' | 'POST';
  readonly reply: (query: URLSearchParams) => Promise<Reply>;
}

export interface RouteContext {
  readonly subject: HttpSubject;
  readonly metrics: Metrics;
  readonly look: () => Promise<LocalFacts | null>;
  readonly now: () => number;
}

/** Everything that is served, by its path. */
export function createRoutes({ subject, metrics, look, now }: RouteContext): ReadonlyMap<string, Route> {
  const get = (reply: Route['reply']): Route => ({ method: 'GET', reply });
  return new Map<string, Route>([
    ['/healthz', get(async () => ({ status: 200, type: 'text/plain; charset=utf-8', body: 'ok\n' }))],
    [
      '/readyz',
      get(async () => {
        const { isReady, reasons } = readinessOf(redact(subject.status()), now());
        return json(isReady ? 200 : 503, { ready: isReady, reasons });
      }),
    ],
    [
      '/metrics',
      get(async () => ({
        status: 200,
        type: metrics.contentType,
        body: await metrics.render(subject.status(), await look()),
      })),
    ],
    ['/status.json', get(async () => json(200, { ...redact(subject.status()), local: await look() }))],
    [
      '/',
      get(async (query) => ({
        status: 200,
        type: 'text/html; charset=utf-8',
        body: statusPage(redact(subject.status()), await look(), now(), {
          refreshes: query.get('refresh') !== 'off',
        }),
      })),
    ],
    [
      '/notify',
      {
        method: 'POST',
        reply: async () => {
          await subject.notify();
          return json(202, { accepted: true });
        },
      },
    ],
  ]);
}

const json = (status: number, document: object): Reply => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify(document)}\n`,
});
