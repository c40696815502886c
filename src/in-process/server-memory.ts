import { existsSync } from 'node:fs';
import { listeningProcess } from '../platform/memory/listening-process.ts';
import { memoryUse } from '../platform/memory/memory-use.ts';
import type { MemoryUse } from '../platform/memory/memory-use.ts';

/**
 * Reads the memory of this host and of the containers of this process; and, if the server at `url` listens on this host and its process can
 * be seen, of the containers of that one.
 */
export function serverMemory(url: string | undefined): () => Promise<readonly MemoryUse[]> {
  const port = url === undefined ? undefined : localPort(url);
  let server: number | undefined;
  return async () => {
    // It may have been started again.
    if (port !== undefined && (server === undefined || !existsSync(`/proc/${server}`)))
      server = await listeningProcess(port);
    return memoryUse({ processes: server === undefined ? ['self'] : ['self', server] });
  };
}

/** Of a URL of this host. */
export function localPort(url: string): number | undefined {
  if (!URL.canParse(url)) return undefined;
  const { hostname, port, protocol } = new URL(url);
  if (hostname !== 'localhost' && hostname !== '[::1]' && !hostname.startsWith('127.')) return undefined;
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}
