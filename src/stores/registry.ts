import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SyncAgentError, errnoOf } from '../platform/errors.ts';
import { capture } from './capture/capture.ts';
import type { CaptureKind } from './capture/capture-kind.ts';
import { hasPersistedIndex, restlessIndexes } from './chroma/index-rest.ts';
import type { Exclusions } from './content/exclusions.ts';
import { holdsNothing } from './content/holds-nothing.ts';
import { inspectStore } from './inspect.ts';
import { databaseName, isSqliteFile } from './sqlite/inspect-sqlite.ts';
import { scanStore } from './content/scan.ts';
import type { ScanResult } from './content/scan.ts';
import type { AdapterName, StoreAdapter } from './adapter.ts';
import type { RestlessFiles } from './capture/until-resting.ts';

const nothing = (): RestlessFiles => ({ active: [], stalled: [] });

const databaseOfChroma = 'chroma.sqlite3';

/** Any SQLite databases in a directory, in rollback or WAL mode, and whatever files lie beside them. */
const sqliteAdapter = makeAdapter(
  'sqlite',
  async (dir, exclude) => (await sqliteFiles(dir, await scanStore(dir, exclude))).length > 0,
  {
    findDatabases: sqliteFiles,
    restlessFiles: nothing,
    databasesAmong: (paths) => paths.filter((path) => databaseName.test(path)),
  },
);

/** A ChromaDB data directory, of any version since 0.4, also one that lost its database. */
const chromaAdapter = makeAdapter(
  'chroma',
  async (dir) =>
    (await stat(join(dir, databaseOfChroma)).catch(() => undefined))?.isFile() === true ||
    (await hasPersistedIndex(dir)),
  {
    findDatabases: sqliteFiles,
    restlessFiles: restlessIndexes,
    databasesAmong: (paths) => paths.filter((path) => path === databaseOfChroma),
  },
);

/** A plain directory. Its files are captured as they stood together at one instant. */
const filesAdapter = makeAdapter('files', async () => true, {
  findDatabases: async () => [],
  restlessFiles: nothing,
  databasesAmong: () => [],
});

const adapters: readonly StoreAdapter[] = [chromaAdapter, sqliteAdapter, filesAdapter];

export function adapterNamed(name: AdapterName, exclude?: Exclusions): StoreAdapter {
  const adapter = adapters.find((each) => each.name === name);
  if (adapter === undefined)
    throw new SyncAgentError('USAGE', `Cannot use adapter "${name as string}": it does not exist`);
  return leavingAlone(adapter, exclude);
}

/** The first kind, from the most particular, that `dir` turns out to be. */
export async function detectAdapter(dir: string, exclude?: Exclusions): Promise<StoreAdapter> {
  for (const adapter of adapters)
    if (await adapter.detect(dir, exclude)) return leavingAlone(adapter, exclude);
  return leavingAlone(filesAdapter, exclude);
}

/** What is excluded from a store, no caller can forget. */
function leavingAlone(adapter: StoreAdapter, exclude: Exclusions | undefined): StoreAdapter {
  if (exclude === undefined || exclude.length === 0) return adapter;
  return {
    ...adapter,
    detect: (dir) => adapter.detect(dir, exclude),
    capture: (dir, target, options) => adapter.capture(dir, target, { ...options, exclude }),
    inspect: (dir, options) => adapter.inspect(dir, { ...options, exclude }),
    holdsNothing: (dir, options) => adapter.holdsNothing(dir, { ...options, exclude }),
  };
}

function makeAdapter(
  name: AdapterName,
  detect: StoreAdapter['detect'],
  kind: CaptureKind & Pick<StoreAdapter, 'databasesAmong'>,
): StoreAdapter {
  return {
    name,
    detect,
    capture: (dir, target, options) => capture(dir, target, kind, options),
    inspect: (dir, options) => inspectStore(name, dir, options),
    holdsNothing: (dir, options) =>
      holdsNothing(dir, options.exclude, () => inspectStore(name, dir, { ...options, level: 'quick' })),
    databasesAmong: kind.databasesAmong,
  };
}

async function sqliteFiles(dir: string, scan: ScanResult): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { path, size } of scan.files) {
    // A journal is no database, and it may be gone by the time we look.
    if (size === 0 || /-(journal|wal|shm)$/.test(path)) continue;
    if (await isSqliteFile(join(dir, path)).catch(vanished)) found.push(path);
  }
  return found;
}

/** Whatever vanished meanwhile was none. */
function vanished(error: unknown): boolean {
  if (errnoOf(error) === 'ENOENT') return false;
  throw error;
}
