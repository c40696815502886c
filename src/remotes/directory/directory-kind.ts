import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { RemoteKind } from '../remote-kind.ts';
import { unusableUrl } from '../unusable-url.ts';
import { createDirectoryRemote } from './directory-remote.ts';

/** A directory of this host, mostly on another disk or a network share. */
export const directoryKind: RemoteKind<never> = {
  scheme: 'file',
  form: 'file:///directory',
  parse: (url) => {
    const path = parseFileUrl(url);
    return {
      url: pathToFileURL(path).href,
      directory: path,
      open: async ({ fs, clock }) => ({ remote: createDirectoryRemote({ path, fs, clock }) }),
    };
  },
  resolve: (text, base) => {
    const relative = /^file:(?!\/)(.+)$/.exec(text)?.[1];
    return relative === undefined ? undefined : pathToFileURL(resolve(base, relative)).href;
  },
};

/** The absolute path in a file URL, without a slash at its end; never `/`. */
function parseFileUrl(url: string): string {
  const rest = url.slice('file:'.length);
  if (!rest.startsWith('/')) {
    const suggestion = pathToFileURL(resolve(rest)).href;
    throw unusableUrl(url, 'a directory remote is an absolute path', `Write ${suggestion}`);
  }
  if (/[?#]/.test(rest)) throw unusableUrl(url, '"?" and "#" must be encoded', 'Write them as %3F and %23');
  if (/(^|\/)\.\.?(\/|$)/.test(rest))
    throw unusableUrl(url, 'its path has a segment "." or ".."', 'Write it out');
  let path: string;
  try {
    const parsed = new URL(url);
    if (parsed.host !== '') throw new TypeError(`"${parsed.host}" is another host`);
    path = fileURLToPath(parsed);
  } catch (cause) {
    throw unusableUrl(url, 'it is not a file URL of this host', 'Write file:///absolute/directory', cause);
  }
  const trimmed = path.replace(/\/{2,}/g, '/').replace(/\/$/, '');
  if (trimmed === '') throw unusableUrl(url, 'it is the root directory', 'Name a directory of its own');
  if (trimmed.includes('\0')) throw unusableUrl(url, 'its path has a NUL', 'Remove it');
  return trimmed;
}
