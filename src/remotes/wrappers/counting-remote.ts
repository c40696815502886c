import type { RequestCounts } from '../../platform/events.ts';
import type { Body, Remote } from '../remote.ts';

export interface CountingRemote extends Remote {
  /** What was asked of the store so far, failed calls included. */
  counts(): RequestCounts;
}

/** Counts the calls that reach `store`; below the retrying decorator that means every attempt. */
export function counting(store: Remote): CountingRemote {
  const counts = { put: 0, get: 0, head: 0, list: 0, copy: 0, remove: 0, bytesSent: 0, bytesReceived: 0 };
  return {
    location: store.location,
    counts: () => ({ ...counts }),
    put: (key, body: Body, options) => {
      counts.put += 1;
      return store.put(key, body, {
        ...options,
        onBytes: (count) => {
          counts.bytesSent += count;
          options?.onBytes?.(count);
        },
      });
    },
    get: async (key, options) => {
      counts.get += 1;
      const result = await store.get(key, options);
      return {
        ...result,
        body: observed(result.body, (chunk) => {
          counts.bytesReceived += chunk.byteLength;
        }),
      };
    },
    head: (key, options) => {
      counts.head += 1;
      return store.head(key, options);
    },
    list: (prefix, options) =>
      observed(store.list(prefix, options), () => {
        counts.list += 1;
      }),
    listDirectories: (prefix, options) => {
      counts.list += 1;
      return store.listDirectories(prefix, options);
    },
    copy: (from, to, options) => {
      counts.copy += 1;
      return store.copy(from, to, options);
    },
    remove: (keys, options) => {
      counts.remove += keys.length;
      return store.remove(keys, options);
    },
    sweepUploads: (prefix, before, options) => store.sweepUploads(prefix, before, options),
    remarks: async (options) => {
      if (store.remarks === undefined) return [];
      counts.head += 2;
      return store.remarks(options);
    },
    close: () => store.close(),
  };
}

async function* observed<T>(source: AsyncIterable<T>, see: (item: T) => void): AsyncGenerator<T> {
  for await (const item of source) {
    see(item);
    yield item;
  }
}
