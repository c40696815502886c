import { lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { excludingPattern, noExclusions } from '../content/exclusions.ts';
import type { Exclusions } from '../content/exclusions.ts';
import { isFresh } from '../content/fingerprint.ts';
import { homeInsideStore, sameTimes } from '../content/scan.ts';
import type { ScanResult, Version } from '../content/scan.ts';
import { parentOf } from './compare-scans.ts';

/** What a look found in a directory with databases. */
interface Listing {
  readonly path: string;
  readonly version: Version;
  readonly names: ReadonlySet<string>;
}

/** What a look found in the directories of databases, whose times say nothing: journals come and go there. */
export interface Listings {
  /** Paths that are there now and were not then, what is no content aside, and directories that are gone. Blocks. */
  newcomers(): readonly string[];
}

/** `scan` began at `lookedAtMs`. */
export function listingsOf(
  dir: string,
  { scan, lookedAtMs }: { readonly scan: ScanResult; readonly lookedAtMs: number },
  {
    databases,
    exclude = noExclusions,
  }: { readonly databases: readonly string[]; readonly exclude?: Exclusions | undefined },
): Listings {
  const names = new Map<string, Set<string>>();
  for (const path of databases) names.set(parentOf(path), new Set());
  const add = (path: string): void => void names.get(parentOf(path))?.add(nameOf(path));
  for (const each of [scan.files, scan.directories, scan.leftAlone]) for (const { path } of each) add(path);
  for (const path of databases) for (const end of ['-journal', '-wal', '-shm']) add(path + end);
  add(homeInsideStore);
  const listings: Listing[] = scan.directories.flatMap(({ path, ...version }) => {
    const found = names.get(path);
    return found === undefined ? [] : { path, version, names: found };
  });

  const newcomersIn = ({ path, version, names: known }: Listing): readonly string[] => {
    const there = statSync(join(dir, path), { bigint: true, throwIfNoEntry: false });
    if (there === undefined) return [path];
    // Most often nothing came or went.
    if (!isFresh(version, lookedAtMs) && sameTimes(version, there)) return [];
    return readdirSync(join(dir, path))
      .filter((name) => !known.has(name))
      .map((name) => (path === '' ? name : `${path}/${name}`))
      .filter((each) => {
        const stats = lstatSync(join(dir, each), { throwIfNoEntry: false });
        return stats !== undefined && excludingPattern(exclude, each, stats.isDirectory()) === undefined;
      });
  };
  return { newcomers: () => listings.flatMap(newcomersIn) };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
