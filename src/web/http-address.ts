import { isIP, isIPv6 } from 'node:net';

export interface HttpAddress {
  /** A name or an IP address, IPv6 without its brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** Where a running agent serves its status page and metrics. */
export interface HttpSettings extends HttpAddress {
  /** The user asked for this port. If it is taken, no other port is used. */
  readonly isPortFixed: boolean;
  readonly token: string | undefined;
}

/** Reachable from this host only. The user must ask for more. */
export const defaultHttpAddress: HttpAddress = { host: '127.0.0.1', port: 8477 };

export const httpAddressForm = '[host:]port, such as 8477, 0.0.0.0:8477 or [::1]:8477, or off';

/** Parses `8477`, `localhost:8477`, `[::1]:8477` or `off`. Undefined for anything else. */
export function parseHttpAddress(text: string): HttpAddress | 'off' | undefined {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === 'off') return 'off';
  const match = /^(?:(?:\[(?<six>[^\]]*)\]|(?<name>[^:[\]]+)):)?(?<port>\d{1,5})$/.exec(trimmed);
  const { six, name, port } = match?.groups ?? {};
  if (port === undefined || Number(port) > 65_535) return undefined;
  if (six !== undefined && !isIPv6(six)) return undefined;
  if (name !== undefined && !isHostName(name)) return undefined;
  return { host: six ?? name ?? defaultHttpAddress.host, port: Number(port) };
}

/** `127.0.0.1:8477` or `[::1]:8477`, as in a URL. */
export function formatHttpAddress({ host, port }: HttpAddress): string {
  // A host is an IPv6 address if it has a colon. To ask isIPv6 takes 9 ms the first time, in every start.
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The last label of a host name is never a number: a text that looks like an IPv4 address must be one. */
function isHostName(name: string): boolean {
  if (isIP(name) === 4) return true;
  const labels = name.replace(/\.$/, '').split('.');
  const areFine = labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label));
  return areFine && name.length <= 253 && !/^\d+$/.test(labels.at(-1) ?? '');
}
