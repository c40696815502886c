import type { ListOptions, ListPage, Remote } from '../remote.ts';

/** The part of `store` whose keys start with `prefix/`, with keys relative to it. An empty prefix is the store itself. */
export function prefixed(store: Remote, prefix: string): Remote {
  if (prefix === '') return store;
  const base = `${prefix}/`;
  return {
    location: `${store.location}/${prefix}`,
    put: (key, body, options) => store.put(base + key, body, options),
    get: (key, options) => store.get(base + key, options),
    head: async (key, options) => {
      const info = await store.head(base + key, options);
      return info === undefined ? undefined : { ...info, key };
    },
    list: (keyPrefix, options) => listBelow(store, base, keyPrefix, options),
    listDirectories: (keyPrefix, options) => store.listDirectories(base + keyPrefix, options),
    copy: (from, to, options) => store.copy(base + from, base + to, options),
    remove: (keys, options) =>
      store.remove(
        keys.map((key) => base + key),
        options,
      ),
    sweepUploads: (keyPrefix, before, options) => store.sweepUploads(base + keyPrefix, before, options),
    remarks: async (options) => (await store.remarks?.(options)) ?? [],
    close: () => store.close(),
  };
}

async function* listBelow(
  store: Remote,
  base: string,
  keyPrefix: string,
  options: ListOptions = {},
): AsyncGenerator<ListPage> {
  const { startAfter, ...rest } = options;
  const below = startAfter === undefined ? rest : { ...rest, startAfter: base + startAfter };
  for await (const page of store.list(base + keyPrefix, below)) {
    // Consoles create an object named like the prefix itself to show an empty folder; it has no relative key.
    const objects = page.objects.filter(({ key }) => key.length > base.length);
    yield { ...page, objects: objects.map((info) => ({ ...info, key: info.key.slice(base.length) })) };
  }
}
