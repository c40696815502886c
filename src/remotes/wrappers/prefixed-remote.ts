import type { ListOptions, ListPage, PutOptions, Remote } from '../remote.ts';

/** The part of `remote` whose keys start with `prefix/`, with keys relative to it. An empty prefix is the remote itself. */
export function prefixed(remote: Remote, prefix: string): Remote {
  if (prefix === '') return remote;
  const base = `${prefix}/`;
  return {
    location: `${remote.location}/${prefix}`,
    put: (key, body, options) => remote.put(base + key, body, basedBelow(base, options)),
    get: (key, options) => remote.get(base + key, options),
    head: async (key, options) => {
      const info = await remote.head(base + key, options);
      return info === undefined ? undefined : { ...info, key };
    },
    list: (keyPrefix, options) => listBelow(remote, base, keyPrefix, options),
    listDirectories: (keyPrefix, options) => remote.listDirectories(base + keyPrefix, options),
    copy: (from, to, options) => remote.copy(base + from, base + to, options),
    remove: (keys, options) =>
      remote.remove(
        keys.map((key) => base + key),
        options,
      ),
    sweepUploads: (keyPrefix, before, options) => remote.sweepUploads(base + keyPrefix, before, options),
    remarks: async (options) => (await remote.remarks?.(options)) ?? [],
    close: () => remote.close(),
  };
}

function basedBelow(prefix: string, options: PutOptions | undefined): PutOptions | undefined {
  const older = options?.base;
  return older === undefined ? options : { ...options, base: { ...older, key: prefix + older.key } };
}

async function* listBelow(
  remote: Remote,
  base: string,
  keyPrefix: string,
  options: ListOptions = {},
): AsyncGenerator<ListPage> {
  const { startAfter, ...rest } = options;
  const below = startAfter === undefined ? rest : { ...rest, startAfter: base + startAfter };
  for await (const page of remote.list(base + keyPrefix, below)) {
    // Consoles create an object named like the prefix itself to show an empty folder; it has no relative key.
    const objects = page.objects.filter(({ key }) => key.length > base.length);
    yield { ...page, objects: objects.map((info) => ({ ...info, key: info.key.slice(base.length) })) };
  }
}
