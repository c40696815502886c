import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeBreather } from '../../platform/breathe.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { ManifestFile } from '../../log/manifest.ts';
import { excludingPattern } from './exclusions.ts';
import type { Exclusions } from './exclusions.ts';
import { kindNamed, plainKind } from '../find-kind.ts';
import { isSqliteFile } from '../sqlite/sqlite-file.ts';
import { scanStore } from './scan.ts';
import type { StoreAdapter } from '../adapter.ts';

/**
 * Throws USAGE if patterns exclude what the store at `dir` cannot do without: what its kind needs, such as Chroma's database
 * and vector indexes, the last database of a store, the log or journal of a database that is captured.
 */
export async function assertExclusionsFitStore(
  dir: string,
  {
    detectAdapter,
    exclude,
  }: { readonly detectAdapter: (dir: string) => Promise<StoreAdapter>; readonly exclude: Exclusions },
): Promise<void> {
  if (exclude.length === 0 || (await stat(dir).catch(() => undefined)) === undefined) return;
  const { name } = await detectAdapter(dir);
  assertNeedsKept(name, exclude);
  const { files } = await scanStore(dir, exclude);
  const databases = await databasesAmong(dir, files);
  for (const path of databases) assertFitsDatabase(path, exclude);
  if (name !== plainKind.name || databases.length > 0) return;
  const all = await scanStore(dir).catch(() => ({ files: [] }));
  const [only] = await databasesAmong(dir, all.files);
  if (only !== undefined) throw unfit(only, exclude, 'no other database would be left');
}

/** The same for a snapshot that is to become the store. */
export function assertExclusionsFitSnapshot(
  { adapter, files }: { readonly adapter: string; readonly files: readonly Pick<ManifestFile, 'path'>[] },
  exclude: Exclusions = [],
): void {
  if (exclude.length === 0) return;
  assertNeedsKept(adapter, exclude);
  if (kindNamed(adapter)?.needsDatabase !== true) return;
  const excluded = files.filter(({ path }) => excludingPattern(exclude, path, false) !== undefined);
  // Which of them are databases, a snapshot does not say.
  if (excluded.length === files.length && files[0] !== undefined)
    throw unfit(files[0].path, exclude, 'no database would be left');
}

function assertNeedsKept(kind: string, exclude: Exclusions): void {
  for (const { path, why } of kindNamed(kind)?.needs ?? [])
    if (excludingPattern(exclude, path, false) !== undefined) throw unfit(path, exclude, why);
}

function assertFitsDatabase(path: string, exclude: Exclusions): void {
  for (const beside of [`${path}-wal`, `${path}-journal`]) {
    if (excludingPattern(exclude, beside, false) !== undefined)
      throw unfit(beside, exclude, `"${path}" is incomplete without it`);
  }
}

async function databasesAmong(
  dir: string,
  files: readonly { readonly path: string; readonly size: number }[],
): Promise<readonly string[]> {
  const found: string[] = [];
  const breathe = makeBreather();
  for (const { path, size } of files) {
    if (size === 0 || /-(journal|wal|shm)$/.test(path)) continue;
    await breathe();
    // What may not be read, or has gone, is for the capture to tell.
    if (await isSqliteFile(join(dir, path)).catch(() => false)) found.push(path);
  }
  return found;
}

function unfit(path: string, exclude: Exclusions, why: string): SyncAgentError {
  const pattern = excludingPattern(exclude, path, false) ?? '';
  return new SyncAgentError('USAGE', `Cannot exclude "${path}" with "${pattern}": ${why}`, {
    remedy: 'Exclude logs, caches and other files that the store can do without',
  });
}
