import type { Manifest } from '../log/manifest.ts';
import { isExcluded, noExclusions } from '../stores/content/exclusions.ts';
import type { Exclusions } from '../stores/content/exclusions.ts';
import { isForeignPath } from '../stores/content/foreign.ts';
import { plainKind } from '../stores/find-kind.ts';

/**
 * The part of a snapshot that counts on this host, for decisions and for restoring. It leaves out what is excluded here but was not when the
 * snapshot was made, and what an older version took for content. `leftAlone`: directories of the present store that hold
 * only excluded files; an empty directory in the snapshot is equal to such a one. Commits always have the whole manifest.
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
  const { checkedBy: _, ...unchecked } = manifest;
  const needed = new Set([...files.map(({ path }) => path), ...emptyDirectories].flatMap(withParents));
  return {
    ...unchecked,
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
