import type Database from 'better-sqlite3';
import { SyncAgentError } from '../../platform/errors.ts';
import { openDatabaseAsItLies } from '../sqlite/crashed-database.ts';
import { sqliteCodeOf } from '../sqlite/sqlite-image.ts';

/** The newest migration of each part of a Chroma database. */
export type SchemaVersion = Readonly<Record<string, number>>;

const parts = ['embeddings_queue', 'metadb', 'sysdb'] as const;

/** What releases of Chroma write, oldest first: the newest migrations that they know, in the order of `parts`. */
const releases = [
  { chroma: '0.4', versions: [1, 3, 4] },
  { chroma: '0.5.0', versions: [1, 3, 7] },
  { chroma: '0.5.6', versions: [2, 4, 9] },
  { chroma: '1.0', versions: [2, 5, 9] },
  { chroma: '1.3', versions: [2, 5, 10] },
  { chroma: '1.5', versions: [2, 6, 10] },
] as const;

/** Undefined if the database does not say (chromadb, db/migrations.py). */
export function readSchemaVersion(db: Database.Database): SchemaVersion | undefined {
  try {
    const rows = db.prepare('SELECT dir, max(version) FROM migrations GROUP BY dir').raw().all();
    const found = (rows as [unknown, unknown][]).filter(
      (row): row is [string, number] => typeof row[0] === 'string' && typeof row[1] === 'number',
    );
    return found.length === 0 ? undefined : Object.fromEntries(found);
  } catch (error) {
    if (sqliteCodeOf(error) === undefined) throw error;
    return undefined;
  }
}

/** As people write it: `embeddings_queue 2, metadb 5, sysdb 10`. */
export function schemaText(version: SchemaVersion): string {
  return Object.keys(version)
    .toSorted()
    .map((part) => `${part} ${version[part]}`)
    .join(', ');
}

/** The oldest release of Chroma that opens such a database; later ones do, too. Undefined if no known one does. */
export function oldestRelease(version: SchemaVersion): string | undefined {
  const isKnownTo = (versions: readonly number[]): boolean =>
    Object.entries(version).every(([part, found]) => {
      const index = parts.indexOf(part as (typeof parts)[number]);
      return index !== -1 && found <= (versions[index] ?? 0);
    });
  return releases.find(({ versions }) => isKnownTo(versions))?.chroma;
}

/** TOO_NEW for a database of a Chroma that is newer than the newest known one. */
export function assertKnownSchema(version: SchemaVersion | undefined, path: string): void {
  if (version === undefined || oldestRelease(version) !== undefined) return;
  const newest = releases[releases.length - 1];
  const known = schemaText(
    Object.fromEntries(parts.map((part, index) => [part, newest?.versions[index] ?? 0])),
  );
  throw new SyncAgentError(
    'TOO_NEW',
    `Cannot read "${path}": its schema is newer than what is known here: it has the migrations ${schemaText(version)}; known are those up to ${known}`,
    { remedy: 'Install the newest sync-agent. Backups and restores, which copy bytes, go on' },
  );
}

/** `assertKnownSchema` of a database as it lies; one that cannot be opened is for others to judge. */
export function assertKnownDatabase(path: string, label: string, scratch: string): void {
  const image = openDatabaseAsItLies(path, label, scratch);
  if (typeof image === 'string') return;
  let version: SchemaVersion | undefined;
  try {
    version = readSchemaVersion(image.db);
  } finally {
    image.close();
  }
  assertKnownSchema(version, path);
}
