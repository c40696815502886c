import { createHash } from 'node:crypto';
import type { LogPosition, LogReading, LoggedOperation } from '../../../stores/operation-log.ts';

type Entries = Extract<LogReading, { type: 'entries' }>;

/** What was read at one time. */
export interface Batch extends Entries {
  /** By the host's clock, milliseconds since the epoch. */
  readonly readAtMs: number;
  /** Of the text. */
  readonly bytes: number;
}

/**
 * The newest part of what was read of a log, whether it was shipped or not: a new snapshot stands somewhere in it, and its own log begins
 * there. Bounded: a snapshot that stands before it needs another one.
 */
export class Spool {
  readonly #mostBytes: number;
  #batches: Batch[] = [];
  /** Where a store stands that lacks all of them. */
  #from: LogPosition | undefined;
  #bytes = 0;
  #rest: Pick<Batch, 'rest'> & { readonly digest: string } = { digest: '' };
  #lastReadAtMs = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Begins anew, because the log does not go on from what was read. */
  startAt(position: LogPosition): void {
    this.#from = position;
    this.#batches = [];
    this.#bytes = 0;
    this.#rest = { digest: '' };
  }

  add(reading: Entries, readAtMs: number): Batch {
    const lines = [...reading.operations.map(({ text }) => text), ...(reading.rest ?? [])];
    const bytes = lines.reduce((sum, line) => sum + line.length + 1, 0);
    const batch: Batch = { ...reading, readAtMs, bytes };
    if (reading.rest !== undefined) this.#rest = { digest: reading.to.rest, rest: reading.rest };
    this.#lastReadAtMs = readAtMs;
    this.#batches.push(batch);
    this.#bytes += bytes;
    while (this.#bytes > this.#mostBytes && this.#batches.length > 1) {
      const oldest = this.#batches.shift();
      this.#bytes -= oldest?.bytes ?? 0;
      this.#from = oldest?.to;
    }
    return batch;
  }

  /**
   * What a store that stands at `position` lacks, in order. Undefined if the spool does not reach back to it. If the position occurs
   * twice, because the store counted back meanwhile, the earlier one is taken: nothing is wrong with doing both again.
   */
  after(position: LogPosition): readonly Batch[] | undefined {
    const index = this.#batches.findIndex((batch) => isWithin(batch, position));
    const found = this.#batches[index];
    if (found === undefined) {
      const isAtBegin = this.#from !== undefined && isAt(this.#from, position);
      return isAtBegin ? this.#completed(this.#batches, position) : undefined;
    }
    // A store that stands within a batch has its cut behind it.
    const { cutTo: _, ...uncut } = found;
    const operations = found.operations.filter(({ number }) => number > position.number);
    return this.#completed([{ ...uncut, operations }, ...this.#batches.slice(index + 1)], position);
  }

  /** What has no number is in the end as it is in the store. */
  #completed(batches: readonly Batch[], position: LogPosition): readonly Batch[] {
    const some = withoutKnown(batches, position).filter(
      ({ operations, rest, cutTo }) => operations.length > 0 || rest !== undefined || cutTo !== undefined,
    );
    const { digest, rest } = this.#rest;
    if (rest === undefined || some.some((batch) => batch.rest !== undefined) || digest === position.rest)
      return some;
    const to = { ...(some.at(-1)?.to ?? position), rest: digest };
    const readAtMs = some.at(-1)?.readAtMs ?? this.#lastReadAtMs;
    return [...some, { type: 'entries', operations: [], rest, to, hasMore: false, readAtMs, bytes: 0 }];
  }
}

/** Whether a store that applied some of the batch's operations, one at least, stands at `position`; or one that was cut, and no more. */
function isWithin({ operations, cutTo, to }: Batch, position: LogPosition): boolean {
  if (operations.length === 0 && cutTo !== undefined) return isAt(to, position);
  const operation = operations.find(({ number }) => number === position.number);
  return operation !== undefined && digestOf(operation) === position.operation;
}

/** What a follower reads first is all of what has no number, also if it is as it was. */
function withoutKnown(batches: readonly Batch[], position: LogPosition): readonly Batch[] {
  let known = position.rest;
  return batches.map((batch) => {
    if (batch.rest === undefined) return batch;
    if (batch.to.rest === known) {
      const { rest: _, ...others } = batch;
      return others;
    }
    known = batch.to.rest;
    return batch;
  });
}

const isAt = (a: LogPosition, b: LogPosition): boolean =>
  a.number === b.number && a.operation === b.operation;

const digestOf = ({ text }: LoggedOperation): string => createHash('sha256').update(text).digest('hex');
