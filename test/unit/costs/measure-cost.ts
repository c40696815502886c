import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { createDirectoryRemote } from '../../../src/remotes/directory/directory-remote.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { counting } from '../../../src/remotes/wrappers/counting-remote.ts';
import type { CountingRemote } from '../../../src/remotes/wrappers/counting-remote.ts';

/** What an operation costs on any machine: counts and bytes, no times. */
export const costNames = [
  // Requests, and bytes of bodies.
  'put',
  'get',
  'head',
  'list',
  'copy',
  'remove',
  'bytesSent',
  'bytesReceived',
  // Calls of the FileSystem port.
  'makeDirectory',
  'rename',
  'removeFile',
  'link',
  'copyFile',
  'open',
  'write',
  'setAttributes',
  'sync',
  // Bytes that this process read and wrote by system calls, those that the kernel copied for it among them.
  'bytesRead',
  'bytesWritten',
  // Bytes that went through a hash in this thread.
  'bytesHashed',
  // Bytes of files that were copied whole.
  'bytesCopied',
] as const;

export type Cost = Readonly<Record<(typeof costNames)[number], number>>;

export interface CostMeter {
  readonly fs: FileSystem;
  readonly remote: Remote;
  measure(work: () => Promise<unknown>): Promise<Cost>;
}

/** With a `directory`, the remote is in there, and what it does to its disk counts, too. */
export function createCostMeter({ directory }: { readonly directory?: string } = {}): CostMeter {
  const calls = { ...noCalls };
  const fs = countingFileSystem(calls);
  const remote = counting(
    directory === undefined
      ? trustful(createMemoryRemote({ now: Date.now }))
      : createDirectoryRemote({ path: directory, fs }),
  );
  const totals = (): Cost => ({ ...remoteTotals(remote), ...calls, ...processTotals() });
  return {
    fs,
    remote,
    measure: async (work) => {
      const before = totals();
      await countingHashes((bytes) => (calls.bytesHashed += bytes), work);
      const after = totals();
      return Object.fromEntries(costNames.map((name) => [name, after[name] - before[name]])) as Cost;
    },
  };
}

const noCalls = {
  makeDirectory: 0,
  rename: 0,
  removeFile: 0,
  link: 0,
  copyFile: 0,
  open: 0,
  write: 0,
  setAttributes: 0,
  sync: 0,
  bytesHashed: 0,
  bytesCopied: 0,
};

function remoteTotals(remote: CountingRemote) {
  const { put, get, head, list, copy, remove, bytesSent, bytesReceived } = remote.counts();
  return { put, get, head, list, copy, remove, bytesSent, bytesReceived };
}

function processTotals() {
  const text = readFileSync('/proc/self/io', 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1]);
  return { bytesRead: field('rchar'), bytesWritten: field('wchar') };
}

/** A server's own hashes are no cost of the agent. */
function trustful(remote: Remote): Remote {
  return {
    ...remote,
    put: (key, body, { sha256: _, ...options } = {}) => remote.put(key, body, options),
  };
}

function countingFileSystem(calls: typeof noCalls): FileSystem {
  const fs = nodeFileSystem;
  const counted = <T>(name: keyof typeof noCalls, call: Promise<T>): Promise<T> => {
    calls[name] += 1;
    return call;
  };
  return {
    makeDirectory: (...args) => counted('makeDirectory', fs.makeDirectory(...args)),
    rename: (...args) => counted('rename', fs.rename(...args)),
    remove: (...args) => counted('removeFile', fs.remove(...args)),
    link: (...args) => counted('link', fs.link(...args)),
    copy: async (...args) => {
      calls.bytesCopied += (await stat(args[0])).size;
      return counted('copyFile', fs.copy(...args));
    },
    openForWrite: async (...args) => {
      const file = await counted('open', fs.openForWrite(...args));
      return {
        write: (bytes, position) => counted('write', file.write(bytes, position)),
        truncate: (size) => counted('setAttributes', file.truncate(size)),
        sync: () => counted('sync', file.sync()),
        close: () => file.close(),
      };
    },
    appendLine: (...args) => counted('write', fs.appendLine(...args)),
    setAttributes: (...args) => counted('setAttributes', fs.setAttributes(...args)),
    sync: (...args) => counted('sync', fs.sync(...args)),
    syncAll: async () => false,
  };
}

async function countingHashes(add: (bytes: number) => void, work: () => Promise<unknown>): Promise<void> {
  const prototype = Object.getPrototypeOf(createHash('sha256')) as Hash;
  const { update } = prototype;
  const counted = function (this: Hash, ...args: Parameters<Hash['update']>): Hash {
    const [data] = args as readonly (string | NodeJS.ArrayBufferView)[];
    add(typeof data === 'string' ? Buffer.byteLength(data) : (data?.byteLength ?? 0));
    return update.apply(this, args);
  };
  prototype.update = counted as Hash['update'];
  try {
    await work();
  } finally {
    prototype.update = update;
  }
}
