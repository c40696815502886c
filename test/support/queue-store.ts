import { mkdtempSync, rmSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { queueLog } from '../../src/stores/chroma/log/queue-log.ts';
import type { LogFollower, LogReading } from '../../src/stores/operation-log.ts';
import { unpackFixture } from './fixtures.ts';
import type { Fixture } from './fixtures.ts';
import { fastTmp } from './host.ts';

export type Entries = Extract<LogReading, { type: 'entries' }>;

/** A real Chroma directory that is written as its server writes it: the queue and the tables beside it. */
export class QueueStore {
  readonly dir: string;
  readonly #root: string | undefined;
  #made = 0;

  /** `dir`: an existing store; else a fixture is unpacked into a directory of its own. */
  constructor({ fixture = 'chroma-1-b', dir }: { readonly fixture?: Fixture; readonly dir?: string } = {}) {
    this.#root = dir === undefined ? mkdtempSync(join(fastTmp, 'sync-agent-queue-')) : undefined;
    this.dir = dir ?? join(this.#root ?? '', 'store');
    if (dir === undefined) unpackFixture(fixture, this.dir);
  }

  /** Calls `work` with an open database, in one transaction. */
  change<T>(work: (db: Database.Database) => T): T {
    // Whoever locks it does so in this process: waiting would be in vain.
    const db = new Database(join(this.dir, 'chroma.sqlite3'), { timeout: 0 });
    try {
      db.pragma('foreign_keys = off');
      // A test dies with its machine.
      db.pragma('synchronous = off');
      return db.transaction(work)(db);
    } finally {
      db.close();
    }
  }

  /** Acknowledges one operation on a collection: its number. */
  write(
    collection: string,
    id: string,
    values: { readonly document?: string; readonly operation?: number } = {},
  ): number {
    return this.change((db) => Number(insert(db, collection, id, values).lastInsertRowid));
  }

  /** The collections' ids, in order of creation. */
  collections(): readonly string[] {
    return this.change(
      (db) => db.prepare('SELECT id FROM collections ORDER BY rowid').pluck().all() as string[],
    );
  }

  create(id = `00000000-0000-4000-8000-${String((this.#made += 1)).padStart(12, '0')}`): string {
    this.change((db) => {
      copyRow(db, 'collections', 1, { id, name: `name of ${id}` });
      copyRow(db, 'segments', 1, { id: `${id}-v`, collection: id });
    });
    return id;
  }

  rename(id: string, name: string): void {
    this.change((db) => db.prepare('UPDATE collections SET name = ? WHERE id = ?').run(name, id));
  }

  /** As the server does: with all its operations, whose numbers are free then if they were the newest. */
  delete(id: string): void {
    this.change((db) => {
      db.prepare('DELETE FROM collections WHERE id = ?').run(id);
      db.prepare('DELETE FROM segments WHERE collection = ?').run(id);
      db.prepare("DELETE FROM embeddings_queue WHERE topic LIKE '%' || ?").run(id);
    });
  }

  /** As after an index was persisted: only the newest operation of the collection stays. */
  purge(id: string): void {
    this.change((db) =>
      db
        .prepare(
          "DELETE FROM embeddings_queue WHERE topic LIKE '%' || @id AND seq_id < (SELECT max(seq_id) FROM embeddings_queue WHERE topic LIKE '%' || @id)",
        )
        .run({ id }),
    );
  }

  /** A row of the queue each, as text. */
  rows(above = 0): readonly string[] {
    return rowsOf(this.dir, above);
  }

  /** A copy of the store as it is now. */
  async copy(): Promise<QueueStore> {
    const copy = new QueueStore({ dir: join(mkdtempSync(join(fastTmp, 'sync-agent-queue-')), 'store') });
    await cp(this.dir, copy.dir, { recursive: true });
    return copy;
  }

  remove(): void {
    rmSync(this.#root ?? join(this.dir, '..'), { recursive: true, force: true });
  }
}

export function rowsOf(dir: string, above = 0): readonly string[] {
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  try {
    return (
      db.prepare('SELECT * FROM embeddings_queue WHERE seq_id > ? ORDER BY seq_id').all(above) as object[]
    ).map((row) => JSON.stringify(row));
  } finally {
    db.close();
  }
}

/** A follower that begins where the store stands, and knows its tables. */
export function followFrom({ dir }: QueueStore): LogFollower {
  const follower = queueLog.follow(dir);
  follower.start(follower.position());
  return follower;
}

export function entries(reading: LogReading | undefined): Entries {
  if (reading?.type !== 'entries') throw new Error(`expected entries, found ${JSON.stringify(reading)}`);
  return reading;
}

function insert(
  db: Database.Database,
  collection: string,
  id: string,
  { document = `text of ${id}`, operation = 2 }: { readonly document?: string; readonly operation?: number },
): Database.RunResult {
  return db
    .prepare(
      "INSERT INTO embeddings_queue (operation, topic, id, vector, encoding, metadata) VALUES (?, ?, ?, ?, 'FLOAT32', ?)",
    )
    .run(
      operation,
      `persistent://default/default/${collection}`,
      id,
      Buffer.from(new Float32Array([1, 2, 3]).buffer),
      JSON.stringify({ 'chroma:document': document }),
    );
}

/** Copies the first row of a table with other values: whatever columns a version has, they hold what they may hold. */
function copyRow(
  db: Database.Database,
  table: string,
  rowid: number,
  other: Readonly<Record<string, string>>,
): void {
  const row = {
    ...(db.prepare(`SELECT * FROM ${table} ORDER BY rowid LIMIT ?`).get(rowid) as object),
    ...other,
  };
  const names = Object.keys(row);
  db.prepare(`INSERT INTO ${table} (${names.join()}) VALUES (${names.map((name) => `@${name}`).join()})`).run(
    row,
  );
}
