import { SyncAgentError } from '../../platform/errors.ts';
import type { ByteRange, GetOptions, GetResult, ListPage, ObjectInfo, Remote } from '../../remotes/remote.ts';

/** What a reader finds in the place of an object. */
export type FalseObject =
  | { readonly type: 'missing' }
  | { readonly type: 'truncated'; readonly size: number }
  /** The lowest bit of the byte at `position` is the other one. */
  | { readonly type: 'flipped'; readonly position: number }
  /** The bytes of another object. */
  | { readonly type: 'swapped'; readonly key: string };

export type FalseObjects = ReadonlyMap<string, FalseObject>;

/** The remote for somebody who only reads: every call that would change something rejects. */
export function readOnlyRemote(remote: Remote): Remote {
  const refuse = async (): Promise<never> => {
    throw new SyncAgentError('INTERNAL', `Cannot write to ${remote.location}: a drill only reads`);
  };
  return {
    location: remote.location,
    get: (key, options) => remote.get(key, options),
    head: (key, options) => remote.head(key, options),
    list: (prefix, options) => remote.list(prefix, options),
    listDirectories: (prefix, options) => remote.listDirectories(prefix, options),
    put: refuse,
    copy: refuse,
    remove: refuse,
    sweepUploads: refuse,
    // The owner of the remote closes it.
    close: async () => undefined,
  };
}

/** The remote as it would look with some objects damaged. Not a byte of it is changed, and nothing can be written through this view. */
export function falsifiedRemote(original: Remote, falsified: FalseObjects): Remote {
  const remote = readOnlyRemote(original);
  const seen = async (info: ObjectInfo): Promise<readonly ObjectInfo[]> => {
    const found = falsified.get(info.key);
    switch (found?.type) {
      case undefined:
      case 'flipped':
        return [info];
      case 'missing':
        return [];
      case 'truncated':
        return [{ ...info, size: found.size }];
      case 'swapped':
        return [{ ...info, size: (await original.head(found.key))?.size ?? 0 }];
      default:
        return found satisfies never;
    }
  };
  return {
    ...remote,
    get: (key, options) => getFalsified(original, key, falsified.get(key), options),
    head: async (key, options) => {
      const info = await original.head(key, options);
      return info && (await seen(info))[0];
    },
    list: (prefix, options) => listed(original.list(prefix, options), seen),
  };
}

async function getFalsified(
  remote: Remote,
  key: string,
  found: FalseObject | undefined,
  options: GetOptions = {},
): Promise<GetResult> {
  switch (found?.type) {
    case undefined:
      return remote.get(key, options);
    case 'missing':
      throw new SyncAgentError('NOT_FOUND', `Cannot get "${key}": there is no such object`);
    case 'swapped':
      return remote.get(found.key, options);
    case 'truncated': {
      const { start, end } = options.range ?? { start: 0, end: found.size };
      if (start >= found.size) {
        throw new SyncAgentError('REMOTE_UNREACHABLE', `Cannot get "${key}": the range begins after its end`);
      }
      return remote.get(key, { ...options, range: { start, end: Math.min(end, found.size) } });
    }
    case 'flipped': {
      const result = await remote.get(key, options);
      return { ...result, body: flipped(result.body, options.range, found.position) };
    }
    default:
      return found satisfies never;
  }
}

async function* flipped(
  body: AsyncIterable<Uint8Array>,
  range: ByteRange | undefined,
  position: number,
): AsyncGenerator<Uint8Array> {
  let at = range?.start ?? 0;
  for await (const chunk of body) {
    const index = position - at;
    at += chunk.byteLength;
    if (index < 0 || index >= chunk.byteLength) yield chunk;
    else {
      const copy = Uint8Array.from(chunk);
      copy[index] = (copy[index] ?? 0) ^ 1;
      yield copy;
    }
  }
}

async function* listed(
  pages: AsyncIterable<ListPage>,
  seen: (info: ObjectInfo) => Promise<readonly ObjectInfo[]>,
): AsyncGenerator<ListPage> {
  for await (const page of pages)
    yield { ...page, objects: (await Promise.all(page.objects.map(seen))).flat() };
}
