import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openDatabaseAsItLies } from '../../../sqlite/crashed-database.ts';
import { mendFirstPage } from '../../../sqlite/pages/mended-first-page.ts';
import { missingTables } from '../../sysdb.ts';
import { addFromIndexes } from './rows-of-indexes.ts';
import type { LostRows } from './rows-of-indexes.ts';
import { addOrphanedRows } from './orphaned-rows.ts';
import { copyReadable, isComplete, tolerate } from './readable-copy.ts';

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
  const own = mkdtempSync(join(scratch, 'salvage-'));
  const remove = (): void => rmSync(own, { recursive: true, force: true });
  try {
    const found = openSomehow(join(dir, databaseName), own, onNotice);
    if (found === undefined) {
      remove();
      return undefined;
    }
    const { db: original, isFreeListLost } = found;
    try {
      const { db, damaged: torn } = copyReadable(original, join(own, 'readable.sqlite3'));
      if (torn.size > 0) {
        onNotice(`${databaseName} has damaged pages in ${[...torn].join(', ')}`);
        if (isFreeListLost)
          onNotice(
            'Pages that nothing leads to any more were not read: with its header the database lost the list of those whose rows were deleted',
          );
        else {
          const added = addOrphanedRows(original, db, torn);
          onNotice(
            `${added.toLocaleString('en-US')} rows of them are on pages that nothing leads to any more, and were added`,
          );
        }
      }
      const missing = missingTables(db);
      if (missing.length > 0) {
        onNotice(`${databaseName} has nothing left of ${missing.join(', ')}`);
        db.close();
        remove();
        return undefined;
      }
      const damaged = new Set([...torn].filter((table) => !isComplete(original, db, table)));
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
  /** Which pages are free is not known any more. */
  readonly isFreeListLost: boolean;
  close(): void;
}

/** As it lies; else a copy with a new header, or a new top of the list of tables. */
function openSomehow(path: string, own: string, onNotice: (message: string) => void): Opened | undefined {
  const image = openDatabaseAsItLies(path, databaseName, join(own, 'as-it-lies'));
  if (typeof image !== 'string') {
    // A log has pages that the file has not.
    if (image.db.name !== path) tolerate(() => image.db.pragma('wal_checkpoint(TRUNCATE)'));
    return { db: image.db, isFreeListLost: false, close: () => image.close() };
  }
  onNotice(image);
  if (/is missing|is empty|is not a regular file/.test(image)) return undefined;
  const copy = join(own, 'mended.sqlite3');
  const mended = mendFirstPage(path, copy);
  if (mended === undefined) return undefined;
  const db = new Database(copy, { fileMustExist: true });
  try {
    // Tables that can be read are read, though the list has others that cannot.
    db.unsafeMode();
    db.pragma('writable_schema = on');
    db.prepare('SELECT count(*) FROM sqlite_master').get();
    onNotice(`${databaseName} was read on a copy, with a new ${mended.join(' and a new ')}`);
    return { db, isFreeListLost: mended.includes('header'), close: () => void db.close() };
  } catch {
    db.close();
    return undefined;
  }
}
