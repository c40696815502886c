import type { ListPage, Remote } from '../remote.ts';

/** A remote that is opened by the first call, for one that takes long to load. `location` is that of the opened one. */
export function lazy(location: string, open: () => Promise<Remote>): Remote {
  let opened: Promise<Remote> | undefined;
  const remote = (): Promise<Remote> => (opened ??= open());
  return {
    location,
    put: async (...call) => (await remote()).put(...call),
    get: async (...call) => (await remote()).get(...call),
    head: async (...call) => (await remote()).head(...call),
    list: async function* (...call): AsyncGenerator<ListPage> {
      yield* (await remote()).list(...call);
    },
    listDirectories: async (...call) => (await remote()).listDirectories(...call),
    copy: async (...call) => (await remote()).copy(...call),
    remove: async (...call) => (await remote()).remove(...call),
    sweepUploads: async (...call) => (await remote()).sweepUploads(...call),
    remarks: async (...call) => (await (await remote()).remarks?.(...call)) ?? [],
    close: async () => {
      await (await opened)?.close();
    },
  };
}
