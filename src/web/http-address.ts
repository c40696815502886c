import { isIP, isIPv6 } from 'node:net';

export interface HttpAddress {
  /** A name or an IP address, IPv6 without its brackets. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

/** Where a running agent serves its status page and metrics. */
export interface HttpSettings extends HttpAddress {
  /** Somebody asked for this port: if it is taken, no other will do. */
  readonly isPortFixed: boolean;
  readonly token: string | undefined;
}

/** This host only: whoever wants more has to say so. */
export const defaultHttpAddress: HttpAddress = { host: '127.0.0.1', port: 8477 };

export const httpAddressForm = '[host:]port, such as 8477, 0.0.0.0:8477 or [::1]:8477, or off';

/** `8477`, `localhost:8477`, `[::1]:8477`, `off`; undefined for anything else. */
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

/** `127.0.0.1:8477`, `[::1]:8477`, as it stands in a URL. */
export function formatHttpAddress({ host, port }: HttpAddress): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** A name's last label is no number: what looks like an IPv4 address has to be one. */
function isHostName(name: string): boolean {
  if (isIP(name) === 4) return true;
  const labels = name.replace(/\.$/, '').split('.');
  const areFine = labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label));
  return areFine && name.length <= 253 && !/^\d+$/.test(labels.at(-1) ?? '');
}
