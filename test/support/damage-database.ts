import { closeSync, openSync, writeSync } from 'node:fs';
import Database from 'better-sqlite3';

/** The pages of a table or index, the root first. */
export function pagesOf(path: string, object: string): readonly number[] {
  const db = new Database(path, { readonly: true });
  try {
    return db.prepare('SELECT pageno FROM dbstat WHERE name = ?').pluck().all(object) as number[];
  } finally {
    db.close();
  }
}

/** Overwrites a page with junk: by default the last one of the object. */
export function destroyPage(path: string, object: string, page = pagesOf(path, object).at(-1) ?? 0): void {
  const db = new Database(path, { readonly: true });
  const size = Number(db.pragma('page_size', { simple: true }));
  db.close();
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(size, 0xa7), 0, size, (page - 1) * size);
  closeSync(file);
}
