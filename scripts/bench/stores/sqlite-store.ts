import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { cached } from './cached.ts';

/** A directory with one SQLite database of about so many bytes, which do not compress. */
export async function makeSqliteStore(bytes: number, say: (line: string) => void): Promise<string> {
  const dir = await cached('sqlite', bytes, async (work) => {
    say('making a large SQLite store; this happens once');
    await mkdir(join(work, 'store'));
    const database = new Database(join(work, 'store', 'large.sqlite3'));
    database.pragma('journal_mode = OFF');
    database.pragma('synchronous = OFF');
    database.exec('CREATE TABLE blob (id INTEGER PRIMARY KEY, content BLOB)');
    const insert = database.prepare('INSERT INTO blob (content) VALUES (randomblob(60000))');
    database.transaction(() => {
      for (let written = 0; written < bytes; written += 60_000) insert.run();
    })();
    database.close();
  });
  return join(dir, 'store');
}
