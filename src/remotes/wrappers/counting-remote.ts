import type { RequestCounts } from '../../platform/events.ts';
import type { Body, Remote } from '../remote.ts';

export interface CountingRemote extends Remote {
  /** What was asked of the remote so far, failed calls included. */
  counts(): RequestCounts;
}

/** Counts the calls that reach `remote`; below the retrying decorator that means every attempt. */
export function counting(remote: Remote): CountingRemote {
  const counts = { put: 0, get: 0, head: 0, list: 0, copy: 0, remove: 0, bytesSent: 0, bytesReceived: 0 };
  return {
    location: remote.location,
    counts: () => ({ ...counts }),
    put: (key, body: Body, options) => {
      counts.put += 1;
      return remote.put(key, body, {
        ...options,
        onBytes: (count, isCopied) => {
          if (isCopied !== true) counts.bytesSent += count;
          options?.onBytes?.(count, isCopied);
        },
      });
    },
    get: async (key, options) => {
      counts.get += 1;
      const result = await remote.get(key, options);
      return {
        ...result,
        body: observed(result.body, (chunk) => {
          counts.bytesReceived += chunk.byteLength;
        }),
      };
    },
    head: (key, options) => {
      counts.head += 1;
      return remote.head(key, options);
    },
    list: (prefix, options) =>
      observed(remote.list(prefix, options), () => {
        counts.list += 1;
      }),
    listDirectories: (prefix, options) => {
      counts.list += 1;
      return remote.listDirectories(prefix, options);
    },
    copy: (from, to, options) => {
      counts.copy += 1;
      return remote.copy(from, to, options);
    },
    remove: (keys, options) => {
      counts.remove += keys.length;
      return remote.remove(keys, options);
    },
    sweepUploads: (prefix, before, options) => remote.sweepUploads(prefix, before, options),
    remarks: async (options) => {
      if (remote.remarks === undefined) return [];
      counts.head += 2;
      return remote.remarks(options);
    },
    close: () => remote.close(),
  };
}

async function* observed<T>(source: AsyncIterable<T>, see: (item: T) => void): AsyncGenerator<T> {
  for await (const item of source) {
    see(item);
    yield item;
  }
}
