import type Database from 'better-sqlite3';
import { columnList, digestOf, operationOf } from './queue-row.ts';

interface Known {
  readonly digest: string;
  readonly topic: string;
}

/** How many operations are remembered: those that a deletion of collections may take with it. */
const most = 20_000;
/** Of those that were there before. */
const mostBefore = 2_000;

/** What the newest operations were that a follower has read, by number. */
export class OperationLedger {
  readonly #known = new Map<number, Known>();

  /** Begins anew, with what the queue holds up to `number`. */
  start(db: Database.Database, number: number): void {
    this.#known.clear();
    const rows = db
      .prepare(
        `SELECT ${columnList} FROM (SELECT * FROM embeddings_queue WHERE seq_id <= ? ORDER BY seq_id DESC LIMIT ?) ORDER BY seq_id`,
      )
      .raw()
      .safeIntegers();
    for (const row of rows.iterate(number, mostBefore) as Iterable<unknown[]>) this.add(row);
  }

  add(row: readonly unknown[]): void {
    const { number, text } = operationOf(row);
    this.remember(number, { digest: digestOf(text), topic: String(row[3]) });
  }

  remember(number: number, known: Known): void {
    this.#known.delete(number);
    this.#known.set(number, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= most) break;
      this.#known.delete(oldest);
    }
  }

  topicOf(number: number): string | undefined {
    return this.#known.get(number)?.topic;
  }

  /**
   * The newest operation that is still what it was, if all that were read after it went with their collections. Chroma then numbers on
   * from it. Undefined if that is not certain.
   */
  cutFrom(
    db: Database.Database,
    number: number,
  ): { readonly number: number; readonly operation: string | null } | undefined {
    const digest = db
      .prepare(`SELECT ${columnList} FROM embeddings_queue WHERE seq_id = ?`)
      .raw()
      .safeIntegers();
    const isAlive = db.prepare('SELECT 1 FROM collections WHERE id = ?').pluck();
    for (let each = number; each > 0; each -= 1) {
      const known = this.#known.get(each);
      if (known === undefined) return undefined;
      const row = digest.get(each) as unknown[] | undefined;
      if (row !== undefined && digestOf(operationOf(row).text) === known.digest)
        return { number: each, operation: known.digest };
      // An operation of a collection that is there was purged, and may be anywhere.
      if (isAlive.get(collectionOf(known.topic)) !== undefined) return undefined;
    }
    return { number: 0, operation: null };
  }

  /** Forgets what a cut took away. */
  cut(number: number): void {
    for (const each of this.#known.keys()) if (each > number) this.#known.delete(each);
  }
}

/** A topic is `persistent://<tenant>/<namespace>/<collection id>`. */
export const collectionOf = (topic: string): string => topic.slice(topic.lastIndexOf('/') + 1);
