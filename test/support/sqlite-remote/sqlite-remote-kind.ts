import type { RemoteKind } from '../../../src/remotes/remote-kind.ts';
import { unusableUrl } from '../../../src/remotes/unusable-url.ts';

/** A SQLite file of this host. */
export const sqliteRemoteKind: RemoteKind = {
  scheme: 'sqlite',
  form: 'sqlite:///absolute/file.db',
  parse: (url) => {
    const path = /^sqlite:\/\/(\/.*[^/])$/i.exec(url)?.[1];
    if (path === undefined)
      throw unusableUrl(url, 'it names no file of this host', 'Write sqlite:///absolute/file.db');
    return {
      url: `sqlite://${path}`,
      directory: path,
      // Loading SQLite takes time that a start without this remote need not spend.
      open: async ({ clock }) => {
        const { createSqliteRemote } = await import('./sqlite-remote.ts');
        return { remote: createSqliteRemote(path, clock) };
      },
    };
  },
};
