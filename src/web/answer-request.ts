import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pageStyle } from './page/page-style.ts';
import { drainBody, refuseRead, refuseWrite } from './request-guard.ts';
import type { GuardSettings } from './request-guard.ts';
import type { Reply, Route } from './routes.ts';

/** No request needs a body. */
const maxBodyBytes = 1024;

export interface AnswerContext extends GuardSettings {
  readonly routes: ReadonlyMap<string, Route>;
}

/** The reply to a request: what its route says, or why it is refused. */
export async function answerRequest(
  request: IncomingMessage,
  { routes, ...guard }: AnswerContext,
): Promise<Reply> {
  const { method = '', url = '/', headers } = request;
  const [path = '/', query = ''] = url.split('?', 2);
  const route = routes.get(path);
  const refusal = route?.method === 'POST' ? refuseWrite(headers, guard) : refuseRead(headers, guard);
  if (refusal !== null) {
    const challenge = refusal.status === 401 ? { 'www-authenticate': 'Bearer realm="sync-agent"' } : {};
    return { ...textReply(refusal.status, refusal.message), headers: { ...challenge, connection: 'close' } };
  }
  if (route === undefined) return textReply(404, 'There is nothing here');
  const methods = route.method === 'GET' ? ['GET', 'HEAD'] : ['POST'];
  if (!methods.includes(method)) {
    const reply = textReply(405, `Cannot ${printableMethod(method)} this: ${methods.join(' or ')} only`);
    return { ...reply, headers: { allow: methods.join(', '), connection: 'close' } };
  }
  if (!(await drainBody(request, maxBodyBytes))) {
    const reply = textReply(
      413,
      `Cannot read a body of more than ${maxBodyBytes} bytes: no request needs one`,
    );
    return { ...reply, headers: { connection: 'close' } };
  }
  return route.reply(new URLSearchParams(query));
}

/** Sends a reply, unless the response has begun already. */
export function sendReply(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
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

export const textReply = (status: number, line: string): Reply => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${line}\n`,
});

const printableMethod = (method: string): string => (/^[A-Z]{1,10}$/.test(method) ? method : 'do');

const styleHash = createHash('sha256').update(pageStyle).digest('base64');

/** Sent with every reply. The page has one style element, which is known beforehand, and no script. */
const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${styleHash}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};
