import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SyncAgentError, messageOf } from '../../../platform/errors.ts';
import type { LogFollower, LogPosition, LogReading, LoggedOperation } from '../../operation-log.ts';
import { sqliteCodeOf } from '../../sqlite/sqlite-image.ts';
import { OperationLedger, collectionOf } from './operation-ledger.ts';
import { digestAt, newestOperation, readPosition, wasAt } from './position.ts';
import { prepared } from './prepared.ts';
import { columnList, digestOf, operationOf } from './queue-row.ts';
import { readTables } from './tables.ts';

/** How long one read waits for a writer's commit, milliseconds. */
const busyMs = 100;

/**
 * Reads the queue beside its server, on one connection that only reads and holds no lock between two reads. Chroma purges the queue
 * while it goes on, so a reader that comes late misses operations: their numbers do not follow its last one, and it says so.
 *
 * A number can be used twice. Chroma counts on from the newest row. If a collection is deleted together with the newest rows, the next
 * writes take their numbers. So the last operation that was read must still be what it was; else this finds out to where
 * the queue was cut (`OperationLedger`), or reports a gap.
 */
export class QueueFollower implements LogFollower {
  readonly #path: string;
  readonly #db: Database.Database;
  readonly #dataVersion: Database.Statement;
  readonly #ledger = new OperationLedger();
  #from: LogPosition = { number: 0, operation: null, rest: '' };
  #version: unknown;

  constructor(dir: string) {
    this.#path = join(dir, 'chroma.sqlite3');
    this.#db = this.#patiently(
      () => new Database(this.#path, { readonly: true, fileMustExist: true, timeout: busyMs }),
    );
    this.#dataVersion = this.#db.prepare('PRAGMA data_version').pluck();
  }

  start(from: LogPosition): void {
    this.#from = from;
    this.#version = undefined;
    // What the queue holds is the history of `from` only if the store was there.
    this.#transaction(() => {
      this.#ledger.start(this.#db, wasAt(this.#db, from) === 'yes' ? from.number : 0);
    });
  }

  hasChanged(): boolean {
    return this.#patiently(() => this.#dataVersion.get() !== this.#version);
  }

  read(maxBytes: number): LogReading | undefined {
    return this.#transaction(() => {
      // Read in the same transaction: what is committed later shows at the next look.
      const version = this.#dataVersion.get();
      const cut = this.#findCut();
      if (cut !== undefined && 'type' in cut) return cut;
      const from = cut ?? this.#from;
      if (cut !== undefined) this.#ledger.cut(cut.number);
      const next = this.#nextAfter(from.number);
      if (next !== undefined && next !== from.number + 1)
        return gap(
          from.number,
          `the operations from ${from.number + 1} to ${next - 1} were purged before they were read`,
        );
      const { operations, operation, hasMore } = this.#operations(from, maxBytes);
      const tables = hasMore ? undefined : readTables(this.#db);
      const isSame = tables === undefined || tables.digest === from.rest;
      if (!hasMore) this.#version = version;
      if (cut === undefined && operations.length === 0 && isSame) return undefined;
      this.#from = {
        number: operations.at(-1)?.number ?? from.number,
        operation,
        rest: tables?.digest ?? from.rest,
      };
      return {
        type: 'entries',
        operations,
        to: this.#from,
        hasMore,
        ...(cut === undefined ? {} : { cutTo: cut.number }),
        ...(isSame ? {} : { rest: tables.lines }),
      };
    });
  }

  position(): LogPosition {
    return this.#transaction(() => readPosition(this.#db));
  }

  wasAt(position: LogPosition): 'yes' | 'no' | 'unknown' {
    return this.#transaction(() => wasAt(this.#db, position));
  }

  close(): void {
    this.#db.close();
  }

  /** Undefined if the last operation is what it was, or was purged. Else the position from which the queue goes on, or a gap. */
  #findCut(): LogPosition | LogReading | undefined {
    const { number, operation, rest } = this.#from;
    if (number === 0) return undefined;
    const present = digestAt(this.#db, number);
    if (present !== undefined && present === operation) return undefined;
    const isShort = newestOperation(this.#db).number < number;
    const topic = this.#ledger.topicOf(number);
    if (!isShort && present === undefined && topic !== undefined && this.#isAlive(topic)) return undefined;
    const cut = this.#ledger.cutFrom(this.#db, number);
    if (cut !== undefined) return { ...cut, rest };
    return gap(
      number,
      `operation ${number} was removed with its collection, and its number may have been used again`,
    );
  }

  #isAlive(topic: string): boolean {
    return this.#db.prepare('SELECT 1 FROM collections WHERE id = ?').get(collectionOf(topic)) !== undefined;
  }

  #nextAfter(number: number): number | undefined {
    const next = prepared(this.#db, 'SELECT min(seq_id) FROM embeddings_queue WHERE seq_id > ?')
      .pluck()
      .get(number);
    return typeof next === 'number' ? next : undefined;
  }

  /** Those that follow each other. What comes after a hole is left to the next read, which reports it. */
  #operations(
    from: LogPosition,
    maxBytes: number,
  ): {
    readonly operations: readonly LoggedOperation[];
    readonly operation: string | null;
    readonly hasMore: boolean;
  } {
    const operations: LoggedOperation[] = [];
    let bytes = 0;
    let { operation } = from;
    const rows = prepared(
      this.#db,
      `SELECT ${columnList} FROM embeddings_queue WHERE seq_id > ? ORDER BY seq_id`,
    )
      .raw()
      .safeIntegers();
    for (const row of rows.iterate(from.number) as Iterable<unknown[]>) {
      const read = operationOf(row);
      if (read.number !== from.number + operations.length + 1 || bytes > maxBytes)
        return { operations, operation, hasMore: true };
      operation = digestOf(read.text);
      this.#ledger.remember(read.number, { digest: operation, topic: String(row[3]) });
      operations.push(read);
      bytes += read.text.length;
    }
    return { operations, operation, hasMore: false };
  }

  #transaction<T>(work: () => T): T {
    return this.#patiently(() => this.#db.transaction(work).deferred());
  }

  #patiently<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const code = sqliteCodeOf(error);
      if (code === undefined && !(error instanceof TypeError)) throw error;
      // A server that has just begun to make its database, or one that was killed in the middle of a write, is waited for.
      const isLocked = code?.startsWith('SQLITE_BUSY') === true;
      throw new SyncAgentError(
        isLocked ? 'BUSY' : 'NOT_FOUND',
        `Cannot read the queue of "${this.#path}": ${messageOf(error)}`,
        { cause: error, retryable: true },
      );
    }
  }
}

const gap = (after: number, why: string): LogReading => ({ type: 'gap', after, why });
