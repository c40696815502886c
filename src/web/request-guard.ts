import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';

export interface Refusal {
  readonly status: 401 | 403;
  readonly message: string;
}

export interface GuardSettings {
  /** What the server was told to listen on. */
  readonly host: string;
  readonly token: string | undefined;
}

/**
 * Whether a read may be answered. A web page can make a browser believe that its own name leads to 127.0.0.1 (DNS
 * rebinding), and then reads what it likes, but it cannot lie about that name.
 */
export function refuseRead(headers: IncomingHttpHeaders, { host }: GuardSettings): Refusal | null {
  if (!isLoopback(host) || headers.host === undefined) return null;
  return isLoopback(hostNameOf(headers.host)) ? null : wrongHost;
}

/** Whether something may be set going: not by a web page, and where there is a token, by those only who have it. */
export function refuseWrite(headers: IncomingHttpHeaders, settings: GuardSettings): Refusal | null {
  const { host, token } = settings;
  if (headers.host === undefined) return wrongHost;
  const name = hostNameOf(headers.host);
  if (isLoopback(host) && !isLoopback(name)) return wrongHost;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return crossSite;
  if (headers.origin !== undefined && headers.origin !== `http://${headers.host}`) return crossSite;
  // Without a token and beyond loopback the server does not start; whoever is here unasked stays out.
  if (token === undefined) return isLoopback(host) ? null : noToken;
  return bears(headers.authorization, token) ? null : noToken;
}

const wrongHost: Refusal = {
  status: 403,
  message: 'Cannot answer under this name: the agent listens on this host only; use 127.0.0.1 or localhost',
};
const crossSite: Refusal = { status: 403, message: 'Cannot do this for another web site' };
const noToken: Refusal = { status: 401, message: 'Cannot do this without "Authorization: Bearer TOKEN"' };

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6');

/** Whether a name or an IP address, IPv6 without brackets, leads to this host and no further. */
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

/** In constant time, whatever the lengths. */
function bears(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? '';
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}
