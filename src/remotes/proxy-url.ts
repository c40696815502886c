import { BlockList, isIP } from 'node:net';

/** The proxy that the environment names for `url`, as it stands there; undefined for none. Lower case comes first, as in curl. */
export function proxyUrl(url: URL, env: Readonly<NodeJS.ProcessEnv>): string | undefined {
  const read = (name: string): string => env[name.toLowerCase()] || env[name] || '';
  const scheme = url.protocol.slice(0, -1);
  const proxy = read(`${scheme.toUpperCase()}_PROXY`) || read('ALL_PROXY');
  if (proxy === '' || isExempt(url, read('NO_PROXY'))) return undefined;
  return proxy.includes('://') ? proxy : `${scheme}://${proxy}`;
}

/**
 * Whether NO_PROXY lists the host. An entry is a name, which stands for the names below it too, as in curl, Go and the AWS command
 * line; the end of a name, after a dot or `*`; an address; or a range of addresses (CIDR), as in curl and Go. It may have a
 * port. Names are not looked up.
 */
function isExempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.toLowerCase().replace(/^\[|\]$/g, '');
  const port = url.port || { 'http:': '80', 'https:': '443' }[url.protocol];
  return noProxy
    .toLowerCase()
    .split(/[,\s]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      // An IPv6 address has a port only after brackets.
      const [, name = entry, onlyPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
      if (onlyPort !== undefined && onlyPort !== port) return false;
      return matches(host, name.replace(/^\[|\]$/g, ''));
    });
}

function matches(host: string, entry: string): boolean {
  const family = isIP(host);
  if (family !== 0) return isInRange(host, family, entry);
  if (entry.startsWith('*')) return host.endsWith(entry.slice(1));
  return host === entry || host.endsWith(entry.startsWith('.') ? entry : `.${entry}`);
}

/** Compares addresses as numbers, so that it does not matter how they are written. */
function isInRange(address: string, family: number, entry: string): boolean {
  const [start = '', bits = family === 4 ? '32' : '128'] = entry.split('/');
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (isIP(start) !== family || !/^\d+$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) return false;
  const range = new BlockList();
  range.addSubnet(start, Number(bits), type);
  return range.check(address, type);
}
