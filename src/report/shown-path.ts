import { isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Place {
  readonly cwd: string;
  /** The user's home directory, if there is one. */
  readonly home: string | undefined;
}

/** An absolute path as a person at `cwd` would write it: relative to that or to the home directory, if it is inside. */
export function shownPath(path: string, { cwd, home }: Place): string {
  const fromHere = within(cwd, path);
  if (fromHere !== undefined) return fromHere === '' ? '.' : `.${sep}${fromHere}`;
  const fromHome = home === undefined ? undefined : within(home, path);
  return fromHome === undefined ? path : join('~', fromHome);
}

/** A remote's location. A file URL becomes a path, without the escapes of a URL. */
export function shownLocation(location: string, place: Place): string {
  if (!location.startsWith('file://')) return location;
  try {
    return shownPath(fileURLToPath(location), place);
  } catch {
    return location;
  }
}

/** Undefined if `path` is not inside `directory`, or if that is the root, in which everything is. */
function within(directory: string, path: string): string | undefined {
  if (!isAbsolute(directory) || relative('/', directory) === '') return undefined;
  const way = relative(directory, path);
  return way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way) ? undefined : way;
}
