import type { DirectoryEntry, LeftAlone, Version } from './scan.ts';

export interface FoundDirectory {
  readonly path: string;
  readonly mode: number;
  readonly version: Version;
  /** How many entries are content. */
  readonly entries: number;
  /** A pattern that excludes an entry of it. */
  readonly excludedBy: string | undefined;
}

/**
 * A directory that holds nothing but what is excluded is as little content as that: logs come with a new directory each
 * day. The root of a store always counts.
 */
export function withoutExcludedOnly(found: readonly FoundDirectory[]): {
  readonly directories: DirectoryEntry[];
  readonly excluded: readonly LeftAlone[];
} {
  const gone = new Map<string, { readonly count: number; readonly pattern: string }>();
  const directories: DirectoryEntry[] = [];
  const excluded: LeftAlone[] = [];
  // Children before their parents.
  for (const { path, mode, version, ...each } of found.toSorted((a, b) => (a.path < b.path ? 1 : -1))) {
    const below = gone.get(path);
    const entries = each.entries - (below?.count ?? 0);
    const pattern = each.excludedBy ?? below?.pattern;
    if (path === '' || entries > 0 || pattern === undefined) {
      directories.push({ path, mode, isEmpty: entries === 0, ...version });
    } else {
      const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
      gone.set(parent, { count: (gone.get(parent)?.count ?? 0) + 1, pattern });
      excluded.push({ path, pattern });
    }
  }
  return { directories, excluded };
}
