import { createHash } from 'node:crypto';
import { SyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import { collect } from '../body.ts';
import { describeCall, type RemoteOperation } from '../describe-call.ts';
import { assertKey, assertRange, compareKeys } from '../key.ts';
import type { CallOptions, ListPage, Remote } from '../remote.ts';
import { readBody } from '../read-body.ts';

const pageSize = 1000;
const chunkBytes = 64 * 1024;

export interface StoredObject {
  readonly bytes: Buffer;
  readonly lastModified: Date;
  readonly version: string;
}

/**
 * An object store for tests that lives in this process. `now` is the server's clock, milliseconds since the epoch; `objects` is what it holds, by
 * key: at first nothing.
 */
export function createMemoryRemote({
  now,
  objects = new Map(),
}: {
  readonly now: () => number;
  readonly objects?: Map<string, StoredObject>;
}): Remote {
  const location = 'memory:';
  let versions = Math.max(0, ...Array.from(objects.values(), ({ version }) => Number(version)));

  function begin(operation: RemoteOperation, key: string, { signal }: CallOptions = {}): string {
    const action = describeCall(operation, key, location);
    throwIfAborted(signal, action);
    return action;
  }

  function find(operation: RemoteOperation, key: string, options?: CallOptions): StoredObject {
    const action = begin(operation, key, options);
    const found = objects.get(key);
    if (found === undefined) throw new SyncAgentError('NOT_FOUND', `Cannot ${action}: it does not exist`);
    return found;
  }

  function store(key: string, bytes: Buffer): void {
    objects.set(key, { bytes, lastModified: new Date(now()), version: String((versions += 1)) });
  }

  return {
    location,
    put: async (key, body, options = {}) => {
      await options.after;
      const action = begin('put', key, options);
      assertKey(key);
      const bytes = await collect(readBody(body, { action, signal: options.signal }), body.size);
      if (
        options.sha256 !== undefined &&
        createHash('sha256').update(bytes).digest('hex') !== options.sha256
      ) {
        throw new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: it arrived damaged`, {
          retryable: true,
        });
      }
      throwIfAborted(options.signal, action);
      if (options.ifAbsent === true && objects.has(key)) {
        throw new SyncAgentError('ALREADY_EXISTS', `Cannot ${action}: it already exists`);
      }
      store(key, Buffer.from(bytes));
      options.onBytes?.(bytes.byteLength);
      return { serverTime: new Date(now()) };
    },
    get: async (key, options = {}) => {
      assertRange(options.range);
      const { bytes, version } = find('get', key, options);
      const action = describeCall('get', key, location);
      if (options.ifVersion !== undefined && options.ifVersion !== version) {
        throw new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: it was replaced meanwhile`);
      }
      const { start, end } = options.range ?? { start: 0, end: bytes.byteLength };
      if (options.range !== undefined && start >= bytes.byteLength) {
        throw new SyncAgentError(
          'REMOTE_UNREACHABLE',
          `Cannot ${action}: it has ${bytes.byteLength} bytes, not ${start}`,
        );
      }
      const part = bytes.subarray(start, end);
      return {
        size: part.byteLength,
        body: chunksOf(part, action, options),
        version,
        serverTime: new Date(now()),
      };
    },
    head: async (key, options) => {
      begin('head', key, options);
      const found = objects.get(key);
      return found && { key, size: found.bytes.byteLength, lastModified: found.lastModified };
    },
    list: async function* (prefix, options = {}): AsyncGenerator<ListPage> {
      begin('list', prefix, options);
      const { startAfter = '' } = options;
      const keys = [...objects.keys()].filter(
        (key) => key.startsWith(prefix) && compareKeys(key, startAfter) > 0,
      );
      keys.sort(compareKeys);
      for (let index = 0; index === 0 || index < keys.length; index += pageSize) {
        begin('list', prefix, options);
        const page = keys.slice(index, index + pageSize).flatMap((key) => {
          const found = objects.get(key);
          return found === undefined
            ? []
            : [{ key, size: found.bytes.byteLength, lastModified: found.lastModified }];
        });
        yield { objects: page, serverTime: new Date(now()) };
      }
    },
    listDirectories: async (prefix, options) => {
      begin('listDirectories', prefix, options);
      const below = [...objects.keys()]
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.slice(prefix.length));
      const names = below
        .filter((rest) => rest.includes('/'))
        .map((rest) => rest.slice(0, rest.indexOf('/')));
      return { names: [...new Set(names)].toSorted(compareKeys), serverTime: new Date(now()) };
    },
    copy: async (from, to, options) => {
      await options?.after;
      assertKey(to);
      store(to, find('copy', from, options).bytes);
    },
    remove: async (keys, options) => {
      for (const key of keys) {
        begin('remove', key, options);
        objects.delete(key);
      }
    },
    sweepUploads: async () => 0,
    close: async () => {},
  };
}

async function* chunksOf(bytes: Buffer, action: string, { signal }: CallOptions): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < bytes.byteLength; position += chunkBytes) {
    throwIfAborted(signal, action);
    yield bytes.subarray(position, position + chunkBytes);
  }
}
