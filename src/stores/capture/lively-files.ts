import type { FileEntry } from '../content/scan.ts';
import { parentOf } from './compare-scans.ts';

/** What was written longer ago is hardly written while a capture lasts. */
const recentMs = 10 * 60_000;
/** Looking twice at 500 files took seven milliseconds. */
const most = 200;
const mostInDirectory = 32;

/**
 * The files that are most likely to be written while the fence is up or just after: those with the newest times, and the others of
 * their directories, since an index is several files. At most some 200, whatever the store holds.
 */
export function livelyFiles(files: readonly FileEntry[], nowMs: number): readonly string[] {
  const since = BigInt(Math.floor(nowMs - recentMs)) * 1_000_000n;
  const siblings = new Map<string, string[]>();
  for (const { path } of files) {
    const parent = parentOf(path);
    const known = siblings.get(parent);
    if (known === undefined) siblings.set(parent, [path]);
    else known.push(path);
  }
  const newest = files
    .filter((file) => file.ctimeNs >= since)
    .toSorted((a, b) => (a.ctimeNs > b.ctimeNs ? -1 : a.ctimeNs < b.ctimeNs ? 1 : 0));
  const lively = new Set<string>();
  for (const { path } of newest) {
    if (lively.size >= most) break;
    const others = siblings.get(parentOf(path)) ?? [];
    for (const each of others.length <= mostInDirectory ? others : [path]) lively.add(each);
  }
  return [...lively];
}
