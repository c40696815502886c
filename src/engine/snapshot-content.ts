import type { Manifest } from '../log/manifest.ts';
import { isExcluded, noExclusions } from '../stores/content/exclusions.ts';
import type { Exclusions } from '../stores/content/exclusions.ts';
import { isForeignPath } from '../stores/content/foreign.ts';
import { plainKind } from '../stores/find-kind.ts';

/**
 * What of a snapshot counts on this host: not what is excluded here and was not when it was made, nor what an older version took
 * for content. `leftAlone`: of the present store, directories that hold nothing but what is excluded; an empty one in the
 * snapshot is the same. For decisions and for restoring; what is read or written as a commit is the whole manifest.
 */
export function snapshotContent(
  manifest: Manifest,
  exclude: Exclusions = noExclusions,
  leftAlone: readonly { readonly path: string }[] = [],
): Manifest {
  const isContent = (path: string, kind: 'file' | 'directory'): boolean =>
    !isForeignPath(path, kind) && !isExcluded(exclude, path, kind === 'directory');
  const files = manifest.files.filter(({ path }) => isContent(path, 'file'));
  const present = new Set(leftAlone.map(({ path }) => path));
  const emptyDirectories = manifest.emptyDirectories.filter(
    (path) => isContent(path, 'directory') && !present.has(path),
  );
  if (files.length === manifest.files.length && emptyDirectories.length === manifest.emptyDirectories.length)
    return manifest;
  const needed = new Set([...files.map(({ path }) => path), ...emptyDirectories].flatMap(withParents));
  return {
    ...manifest,
    files,
    emptyDirectories,
    ...(manifest.directories === undefined
      ? {}
      : { directories: manifest.directories.filter(({ path }) => needed.has(path)) }),
    statistics: countable(manifest, files.length),
  };
}

/** A manifest does not say how many records each database had. Collections are never excluded. */
function countable({ adapter, statistics, files }: Manifest, left: number): Manifest['statistics'] {
  if (statistics.collections !== undefined || left === files.length) return statistics;
  return { ...statistics, records: adapter === plainKind.name ? left : 0 };
}

function withParents(path: string): readonly string[] {
  const names = path.split('/');
  return names.map((_, depth) => names.slice(0, depth + 1).join('/'));
}
