import { isOwnSegment, readLogShipped, writeLogShipped } from '../../home/log-files.ts';
import type { Context } from '../context.ts';
import type { LogWriter } from './log-writer.ts';
import type { LogEnd } from './parent-log.ts';

/** What this host records of how far its store is in the log of a snapshot. */
export class ShippedRecord {
  readonly #context: Pick<Context, 'fs' | 'home'>;
  /** Names the writer, as in its segments. */
  readonly #writer: string;
  /** Ends when all that is to be written by now is written. */
  #written: Promise<void> = Promise.resolve();

  constructor(context: Pick<Context, 'fs' | 'home'>, writer: string) {
    this.#context = context;
    this.#writer = writer;
  }

  /** Up to the end of a log. One after the other: it is one file. */
  write(log: Pick<LogWriter, 'snapshot' | 'end'>): Promise<void> {
    const { fs, home } = this.#context;
    this.#written = this.#written
      .catch(() => undefined)
      .then(() => {
        const { snapshot, end } = log;
        const { number, position } = end;
        return writeLogShipped(fs, home, { snapshot, number, position, writer: this.#writer });
      });
    return this.#written;
  }

  /** Whether the store was where a log ends, although it may have purged what would show it. */
  async hasEnd(snapshot: string, { number, writer }: LogEnd): Promise<boolean> {
    const { home } = this.#context;
    if (writer === undefined) return true;
    const recorded = await readLogShipped(home);
    const isRecorded = recorded?.snapshot === snapshot && recorded.number === number;
    return isRecorded || isOwnSegment(home, { snapshot, writer });
  }
}
