import { existsSync } from 'node:fs';
import { listeningProcess } from '../platform/memory/listening-process.ts';
import { memoryUse } from '../platform/memory/memory-use.ts';
import { residentMemory } from '../platform/memory/resident-memory.ts';
import type { MemoryUse } from '../platform/memory/memory-use.ts';

export interface ServerMemory {
  /** Of this host and of containers. */
  use(): Promise<readonly MemoryUse[]>;
  /** Resident memory of the server's process, bytes. Null if it cannot be seen. */
  ofServer(): Promise<number | null>;
}

const seekEveryMs = 10_000;

/**
 * Reads the memory of this host and of the containers of this process; and, if the server at `url` listens on this host and its process can
 * be seen, of the containers of that one.
 */
export function serverMemory(url: string | undefined): ServerMemory {
  const port = url === undefined ? undefined : localPort(url);
  let server: number | undefined;
  let soughtMs = -Infinity;
  const find = async (): Promise<number | undefined> => {
    if (port === undefined || (server !== undefined && existsSync(`/proc/${server}`))) return server;
    // It may be started again. A search looks at every process.
    if (performance.now() - soughtMs < seekEveryMs) return undefined;
    soughtMs = performance.now();
    return (server = await listeningProcess(port));
  };
  return {
    use: async () => {
      const pid = await find();
      return memoryUse({ processes: pid === undefined ? ['self'] : ['self', pid] });
    },
    ofServer: async () => {
      const pid = await find();
      return pid === undefined ? null : residentMemory(pid);
    },
  };
}

/** Of a URL of this host. */
function localPort(url: string): number | undefined {
  if (!URL.canParse(url)) return undefined;
  const { hostname, port, protocol } = new URL(url);
  if (hostname !== 'localhost' && hostname !== '[::1]' && !hostname.startsWith('127.')) return undefined;
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}
