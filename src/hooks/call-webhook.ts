import { errnoOf } from '../errors.ts';
import { version } from '../version.ts';
import type { HookCall, HookDocument } from './hook.ts';

/**
 * Sends the document as a POST. Resolves to undefined on 2xx, else to what happened; names the URL's origin only,
 * since path, query and user may be a token. Redirects are not followed: they would carry the document elsewhere.
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
    const response = await fetch(target, { method: 'POST', headers, body, redirect: 'manual', signal });
    await response.body?.cancel();
    if (response.ok) return undefined;
    const isRedirect = response.status >= 300 && response.status < 400;
    return `${url.origin} answered ${response.status}${isRedirect ? '; redirects are not followed' : ''}`;
  } catch (error) {
    const code = error instanceof Error ? errnoOf(error.cause) : undefined;
    return `${url.origin} cannot be reached${code === undefined ? '' : ` (${code})`}`;
  }
}
