import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openDatabaseAsItLies } from '../../../sqlite/crashed-database.ts';
import { addFromIndexes } from './rows-of-indexes.ts';
import type { LostRows } from './rows-of-indexes.ts';
import { mendHeader } from './mended-header.ts';
import { copyReadable } from './readable-copy.ts';
import { addRecovered } from './sqlite-recover.ts';

export interface SalvagedDatabase {
  readonly db: Database.Database;
  /** Tables of which rows are lost. */
  readonly damaged: ReadonlySet<string>;
  readonly lost: LostRows;
  close(): void;
}

const databaseName = 'chroma.sqlite3';

/**
 * Reads all that can be read of the database of a store into a new one in `scratch`, with indexes that are sound. Undefined if there is
 * nothing to read. The store is not changed. `onNotice` is told what was done.
 */
export function salvageDatabase(
  dir: string,
  scratch: string,
  onNotice: (message: string) => void,
): SalvagedDatabase | undefined {
  const path = join(dir, databaseName);
  const own = mkdtempSync(join(scratch, 'salvage-'));
  const remove = (): void => rmSync(own, { recursive: true, force: true });
  try {
    const found = openSomehow(path, own, onNotice);
    if (found === undefined) {
      remove();
      return undefined;
    }
    const { db: original, readPath } = found;
    try {
      const copied = copyReadable(original, join(own, 'readable.sqlite3'));
      if (copied === undefined || !isChroma(copied.db)) {
        onNotice(`${databaseName} has no list of its tables any more`);
        copied?.db.close();
        remove();
        return undefined;
      }
      const { db, damaged } = copied;
      if (damaged.size > 0) {
        onNotice(`${databaseName} has damaged pages in ${[...damaged].join(', ')}`);
        onNotice(addRecovered(readPath, db, join(own, 'recovered.sqlite3')));
      }
      const lost = addFromIndexes(original, db, damaged);
      return {
        db,
        damaged,
        lost,
        close: () => {
          db.close();
          remove();
        },
      };
    } finally {
      found.close();
    }
  } catch (error) {
    remove();
    throw error;
  }
}

interface Opened {
  readonly db: Database.Database;
  /** What was opened. */
  readonly readPath: string;
  close(): void;
}

/** As it lies; else a copy with a new header. */
function openSomehow(path: string, own: string, onNotice: (message: string) => void): Opened | undefined {
  const image = openDatabaseAsItLies(path, databaseName, join(own, 'as-it-lies'));
  if (typeof image !== 'string') return { db: image.db, readPath: path, close: () => image.close() };
  onNotice(image);
  if (/is missing|is empty|is not a regular file/.test(image)) return undefined;
  const copy = mendHeader(path, join(own, 'mended.sqlite3'));
  if (copy === undefined) return undefined;
  try {
    const db = new Database(copy, { fileMustExist: true });
    db.prepare('SELECT count(*) FROM sqlite_master').get();
    onNotice(`${databaseName} was read with a new header, on a copy`);
    return { db, readPath: copy, close: () => void db.close() };
  } catch {
    return undefined;
  }
}

const isChroma = (db: Database.Database): boolean =>
  db.prepare("SELECT count(*) FROM sqlite_master WHERE name IN ('collections', 'embeddings', 'segments')").pluck().get() === 3; // prettier-ignore
