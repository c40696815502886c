import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

export interface Refusal {
  readonly status: 401 | 403;
  readonly message: string;
}

export interface GuardSettings {
  /** The address that the server was told to listen on. */
  readonly host: string;
  readonly token: string | undefined;
}

/**
 * Why a read is refused; null if it may be answered. A web page can point its own host name at 127.0.0.1 (DNS rebinding) and
 * would then read everything here. It cannot hide that name: the browser sends it in the Host header.
 */
export function refuseRead(headers: IncomingHttpHeaders, { host }: GuardSettings): Refusal | null {
  if (!isLoopback(host) || headers.host === undefined) return null;
  return isLoopback(hostNameOf(headers.host)) ? null : wrongHost;
}

/** Why a POST is refused; null if it may be carried out. Web pages may not, and if there is a token, the request must have it. */
export function refuseWrite(headers: IncomingHttpHeaders, settings: GuardSettings): Refusal | null {
  const { host, token } = settings;
  if (headers.host === undefined) return wrongHost;
  const name = hostNameOf(headers.host);
  if (isLoopback(host) && !isLoopback(name)) return wrongHost;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return crossSite;
  if (headers.origin !== undefined && headers.origin !== `http://${headers.host}`) return crossSite;
  // The server does not start beyond loopback without a token. If it did, the request is refused.
  if (token === undefined) return isLoopback(host) ? null : noToken;
  return hasToken(headers.authorization, token) ? null : noToken;
}

/** Reads a request's body and drops it. False if the body is longer than `maxBytes`: the rest is then left unread. */
export function drainBody(request: IncomingMessage, maxBytes: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) return;
      request.pause();
      resolve(false);
    });
    request.once('end', () => resolve(true));
    request.once('error', reject);
  });
}

const wrongHost: Refusal = {
  status: 403,
  message: 'Cannot answer under this host name: the agent serves this host only; use 127.0.0.1 or localhost',
};
const crossSite: Refusal = { status: 403, message: 'Cannot do this for another web site' };
const noToken: Refusal = { status: 401, message: 'Cannot do this without "Authorization: Bearer TOKEN"' };

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6');

/** Whether a host name or an IP address (IPv6 without brackets) can be reached from this host only. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '');
  const version = isIP(name);
  if (version !== 0) return loopback.check(name, version === 6 ? 'ipv6' : 'ipv4');
  return name === 'localhost' || name.endsWith('.localhost');
}

/** `[::1]:8477` is `::1`, `localhost:8477` is `localhost`. */
function hostNameOf(header: string): string {
  return header.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** Compares in constant time, whatever the lengths. */
function hasToken(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? '';
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}
