import { readdir, stat } from 'node:fs/promises';
import type { Dirent } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { isForeign } from '../../stores/content/foreign.ts';
import { kinds, plainKind } from '../../stores/find-kind.ts';

export interface FoundStore {
  /** Absolute. */
  readonly path: string;
  /** The name of its kind. */
  readonly kind: string;
  readonly bytes: number;
}

const habits = kinds.map((kind) => kind.habits ?? {});
/** Usual names of data directories. They count even without a database. */
const usualNames = habits.flatMap(({ directories = [] }) => directories);
/** Variables in which applications have the path of their store. */
const usualVariables = habits.flatMap(({ variables = [] }) => variables);

const deepest = 3;
/** A look must not take longer than a person waits. */
const mostDirectories = 500;

/**
 * Directories that look like a store, the likeliest first: below `cwd`, and where variables point to. `cwd` itself is not
 * among them: it holds the application.
 */
export async function findStores(
  cwd: string,
  env: Readonly<NodeJS.ProcessEnv>,
): Promise<readonly FoundStore[]> {
  const hinted = usualVariables.flatMap((name) => (env[name] ? [resolve(cwd, env[name])] : []));
  const usual = usualNames.map((name) => join(cwd, name));
  const found = new Map<string, FoundStore>();
  for (const path of [...hinted, ...usual, ...(await directoriesBelow(cwd))]) {
    if (path === cwd || found.has(path)) continue;
    const store = await judge(path, { acceptsFiles: hinted.includes(path) || usual.includes(path) });
    if (store !== undefined) found.set(path, store);
  }
  return withoutNested([...found.values()]).toSorted((a, b) => rankOf(a.kind) - rankOf(b.kind));
}

const rankOf = (name: string): number => kinds.findIndex((kind) => kind.name === name);

/** If one store is inside another, keeps the outer one, unless only the inner one is a database. */
function withoutNested(stores: readonly FoundStore[]): readonly FoundStore[] {
  const isWithin = (inner: FoundStore, outer: FoundStore): boolean => inner.path.startsWith(outer.path + sep);
  return stores.filter((store) =>
    store.kind === plainKind.name
      ? !stores.some((other) => isWithin(other, store) || isWithin(store, other))
      : !stores.some((other) => other.kind !== plainKind.name && isWithin(store, other)),
  );
}

async function judge(
  path: string,
  { acceptsFiles }: { readonly acceptsFiles: boolean },
): Promise<FoundStore | undefined> {
  const entries = await entriesOf(path);
  const names = entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  const { name: kind } = kinds.find(({ habits: its }) => its?.matches?.(names) === true) ?? plainKind;
  if (isRemote(entries) || (kind === plainKind.name && (!acceptsFiles || entries.length === 0)))
    return undefined;
  return { path, kind, bytes: await bytesBelow(path) };
}

/** Breadth first, without directories that belong to tools. */
async function directoriesBelow(root: string): Promise<readonly string[]> {
  const found: string[] = [];
  let level = [root];
  for (let depth = 0; depth < deepest && found.length < mostDirectories; depth += 1) {
    const next: string[] = [];
    for (const directory of level) {
      const entries = await entriesOf(directory);
      if (isRemote(entries)) continue;
      for (const entry of entries) {
        if (entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.'))
          next.push(join(directory, entry.name));
      }
    }
    found.push(...next);
    level = next;
  }
  return found.slice(0, mostDirectories);
}

/** A directory with snapshots in it also holds the current files of a store. */
function isRemote(entries: readonly Dirent[]): boolean {
  return ['commits', 'history'].every((name) =>
    entries.some((entry) => entry.name === name && entry.isDirectory()),
  );
}

async function entriesOf(directory: string): Promise<readonly Dirent[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => !isForeign(directory, entry, true));
}

async function bytesBelow(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) =>
        stat(join(entry.parentPath, entry.name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
