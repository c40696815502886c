import { join } from 'node:path';
import Database from 'better-sqlite3';
import { sqliteCodeOf } from '../../src/stores/sqlite/sqlite-image.ts';
import { QueueStore } from './queue-store.ts';

/**
 * What a store's users would find in it: its collections with their names, and of each record the newest document, whether a server
 * has applied it to its index or still has it in the queue. As text.
 */
export function contentOf(dir: string): string {
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  try {
    const collections = db.prepare('SELECT id, name FROM collections ORDER BY id').raw().all() as [
      string,
      string,
    ][];
    const rows = db
      .prepare(
        `SELECT seq_id, topic, id, operation, metadata FROM model_applied
         UNION ALL SELECT seq_id, topic, id, operation, metadata FROM embeddings_queue WHERE seq_id > 240 ORDER BY seq_id`,
      )
      .all() as { topic: string; id: string; operation: number; metadata: string }[];
    const records = new Map<string, string>();
    for (const { topic, id, operation, metadata } of rows) {
      const collection = topic.slice(topic.lastIndexOf('/') + 1);
      if (!collections.some(([each]) => each === collection)) continue;
      if (operation === 3) records.delete(`${collection} ${id}`);
      else records.set(`${collection} ${id}`, metadata);
    }
    return JSON.stringify([collections, [...records].toSorted(([a], [b]) => (a < b ? -1 : 1))]);
  } finally {
    db.close();
  }
}

/** As when a server persists the index of a collection: what that has goes from the queue. */
export function persistIndex(store: QueueStore, id: string): void {
  store.change((db) =>
    db
      .prepare(
        "INSERT INTO model_applied SELECT seq_id, topic, id, operation, metadata FROM embeddings_queue q WHERE topic LIKE '%' || ? AND seq_id > 240 AND NOT EXISTS (SELECT 1 FROM model_applied a WHERE a.seq_id = q.seq_id AND a.topic = q.topic)",
      )
      .run(id),
  );
  store.purge(id);
}

/** A store whose server applies what it purges, beside an oracle that knows each of its states. */
export class LogModel {
  readonly store: QueueStore;
  /** Every state that was acknowledged, in order. */
  readonly states: string[] = [];
  readonly #random: () => number;
  readonly #name: string;
  #writes = 0;
  #made = 0;

  /** `dir`: a store that was restored. */
  constructor(
    dir: string,
    {
      random,
      name,
      isNew,
    }: { readonly random: () => number; readonly name: string; readonly isNew: boolean },
  ) {
    this.store = new QueueStore({ dir });
    this.#random = random;
    this.#name = name;
    if (isNew)
      this.store.change((db) =>
        db.exec(
          'CREATE TABLE model_applied (seq_id INTEGER, topic TEXT, id TEXT, operation INTEGER, metadata TEXT)',
        ),
      );
    this.#acknowledge();
  }

  /** One thing that a user, or the server by itself, does. Nothing while a snapshot is captured. */
  step(): void {
    try {
      this.#step();
    } catch (error) {
      if (!String(sqliteCodeOf(error)).startsWith('SQLITE_BUSY')) throw error;
    }
  }

  #step(): void {
    const made = this.store.collections().filter((id) => id.startsWith('model-'));
    const pick = (): string => made[Math.floor(this.#random() * made.length)] ?? this.#create();
    const chance = this.#random();
    if (made.length === 0 || chance < 0.06) this.#create();
    else if (chance < 0.12) this.store.delete(pick());
    else if (chance < 0.18) this.store.rename(pick(), `renamed ${this.#next()}`);
    else if (chance < 0.28) persistIndex(this.store, pick());
    else this.#write(pick());
    this.#acknowledge();
  }

  #write(collection: string): void {
    // Few ids, so that values are replaced and come back.
    const id = `record ${Math.floor(this.#random() * 6)}`;
    const operation = this.#random() < 0.2 ? 3 : 2;
    this.store.write(collection, id, { document: this.#next(), operation });
  }

  #create(): string {
    return this.store.create(`model-${this.#name}-${(this.#made += 1)}`);
  }

  #next(): string {
    return `${this.#name} ${(this.#writes += 1)}`;
  }

  #acknowledge(): void {
    const state = contentOf(this.store.dir);
    if (state !== this.states.at(-1)) this.states.push(state);
  }
}
