import { errnoOf } from '../platform/errors.ts';
import { proxyFor } from '../remotes/proxy.ts';
import { version } from '../version.ts';
import type { HookCall, HookDocument } from './hook.ts';

/**
 * Sends the document as a POST. Resolves to undefined on 2xx, else to what happened. Names only the URL's origin,
 * since path, query and user may be a token. Does not follow redirects, which would send the document elsewhere.
 */
export async function callWebhook(
  url: URL,
  document: HookDocument,
  { signal }: Pick<HookCall, 'signal'>,
): Promise<string | undefined> {
  const target = new URL(url);
  const headers = new Headers({ 'content-type': 'application/json', 'user-agent': `sync-agent/${version}` });
  if (url.username !== '' || url.password !== '') {
    const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    headers.set('authorization', `Basic ${Buffer.from(user).toString('base64')}`);
    // fetch refuses a URL that holds credentials, and quotes it.
    [target.username, target.password] = ['', ''];
  }
  try {
    const body = JSON.stringify(document);
    const status = await post(target, { headers, body, signal });
    if (status >= 200 && status < 300) return undefined;
    const isRedirect = status >= 300 && status < 400;
    return `${url.origin} answered ${status}${isRedirect ? '; redirects are not followed' : ''}`;
  } catch (error) {
    const code = error instanceof Error ? (errnoOf(error.cause) ?? errnoOf(error)) : undefined;
    return `${url.origin} cannot be reached${code === undefined ? '' : ` (${code})`}`;
  }
}

interface Post {
  readonly headers: Headers;
  readonly body: string;
  readonly signal: AbortSignal | undefined;
}

/** Resolves to the status. Node's `fetch` does not support proxies. */
async function post(target: URL, { headers, body, signal }: Post): Promise<number> {
  const proxy = await proxyFor(target.href, {});
  if (proxy === undefined) {
    const response = await fetch(target, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      ...(signal === undefined ? {} : { signal }),
    });
    await response.body?.cancel();
    return response.status;
  }
  const isSecure = target.protocol === 'https:';
  const { request } = isSecure ? await import('node:https') : await import('node:http');
  return new Promise((resolve, reject) => {
    const sent = request(target, {
      method: 'POST',
      headers: { ...Object.fromEntries(headers), 'content-length': Buffer.byteLength(body) },
      agent: isSecure ? proxy.https : proxy.http,
      ...(signal === undefined ? {} : { signal }),
    });
    sent.once('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.once('error', reject);
    sent.end(body);
  });
}
