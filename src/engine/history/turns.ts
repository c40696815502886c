import { createHash } from 'node:crypto';
import type { VerifiedRecord } from '../../home/records/verified-record.ts';
import { snapshotOfKey } from '../../log/layout.ts';
import type { LogEntry, Manifest, ManifestFile } from '../../log/manifest.ts';
import type { Context } from '../context.ts';

/** A file of a snapshot whose bytes are in turn to be read. */
export interface InTurn {
  readonly id: string;
  readonly entry: LogEntry;
  readonly file: ManifestFile;
  /** Seconds since the epoch; undefined if that is not known. */
  readonly readAt: number | undefined;
}

/** Never read before read, and then the longest time ago first. New snapshots first, but behind the place where the last run stopped. */
export function compareTurns(a: InTurn, b: InTurn, last: VerifiedRecord['last']): number {
  if (a.readAt !== undefined || b.readAt !== undefined) {
    const difference = (a.readAt ?? -Infinity) - (b.readAt ?? -Infinity);
    if (difference !== 0) return difference;
  }
  const [isPassedA, isPassedB] = [isPassed(a, last), isPassed(b, last)];
  return isPassedA === isPassedB ? comparePlaces(placeOf(a), placeOf(b)) : isPassedA ? 1 : -1;
}

export interface Place {
  readonly generation: number;
  readonly path: string;
}

export const placeOf = ({ entry, file }: Pick<InTurn, 'entry' | 'file'>): Place => ({
  generation: entry.generation,
  path: file.path,
});
const comparePlaces = (a: Place, b: Place): number =>
  b.generation - a.generation || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
const isPassed = (each: InTurn, last: VerifiedRecord['last']): boolean =>
  each.readAt === undefined && last !== null && comparePlaces(placeOf(each), last) <= 0;

export interface FilesOf {
  readonly entries: readonly LogEntry[];
  /** Undefined for one that cannot be read. */
  readonly manifestOf: (entry: LogEntry) => Promise<Manifest | undefined>;
  /** Also bytes that another of the snapshots has in common. Default: they come once. */
  readonly isRepeated?: boolean;
}

/** Every file of the snapshots. */
export async function eachFile(
  { entries, manifestOf, isRepeated = false }: FilesOf,
  { formats }: Pick<Context, 'formats'>,
  visit: (each: Omit<InTurn, 'readAt'>) => void,
): Promise<void> {
  const chosen = new Set(entries.map(({ id }) => id));
  const seen = new Set<string>();
  for (const entry of entries) {
    const manifest = await manifestOf(entry);
    if (manifest === undefined) continue;
    const keys = new Map<string, string[]>();
    for (const { key, path } of formats.of(manifest).reliedOn(manifest))
      keys.set(path, [...(keys.get(path) ?? []), key]);
    for (const file of manifest.files) {
      const of = keys.get(file.path) ?? [];
      const owner = snapshotOfKey(of[0] ?? '') ?? entry.id;
      // The snapshot in whose directory they are has them, too.
      if (!isRepeated && owner !== entry.id && chosen.has(owner)) continue;
      const id = idOf(of, file);
      if (!isRepeated && owner !== entry.id) {
        if (seen.has(id)) continue;
        seen.add(id);
      }
      visit({ id, entry, file });
    }
  }
}

/** Of the same bytes in the same objects. */
function idOf(keys: readonly string[], { sha256, size }: ManifestFile): string {
  const hash = createHash('sha1').update(`${keys.join('\n')}\n${sha256} ${size}`);
  return hash.digest('base64url').slice(0, 16);
}
