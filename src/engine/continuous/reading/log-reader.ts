import type { Clock } from '../../../platform/clock.ts';
import type { LogFollower, LogPosition } from '../../../stores/operation-log.ts';
import { Spool } from './spool.ts';
import type { Batch } from './spool.ts';

/** Text of one read of the store's log. The store is locked for readers meanwhile. */
const readBytes = 1024 * 1024;
/** Read and kept for a snapshot that is being made. What a snapshot stands before of needs another one. */
const spoolBytes = 48 * 1024 * 1024;

export interface LogReaderEvents {
  readonly onBatch: (batch: Batch) => void;
  /** Operations are gone that nobody has read. Reading goes on after them. */
  readonly onGap: (why: string) => void;
}

/** Reads the log of a store in use, and keeps the newest part of it. */
export class LogReader {
  readonly #follower: LogFollower;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #events: LogReaderEvents;
  readonly #spool = new Spool(spoolBytes);
  /** Where the store was when it was last read. Undefined until it was. */
  #position: LogPosition | undefined;

  constructor(follower: LogFollower, clock: Pick<Clock, 'now'>, events: LogReaderEvents) {
    this.#follower = follower;
    this.#clock = clock;
    this.#events = events;
  }

  close(): void {
    this.#follower.close();
  }

  /** Begins anew where the store stands. What has no number is read first. */
  begin(): void {
    this.startAt({ ...this.#follower.position(), rest: '' });
  }

  /** Begins anew at a position of the store, or at one that its log is to go on from: a gap, if it never was there. */
  startAt(position: LogPosition): void {
    this.#follower.start(position);
    this.#spool.startAt(position);
    this.#position = position;
  }

  /** Reads what came since. Whether there were operations. */
  read(): boolean {
    const before = this.#position?.number;
    while (this.#position !== undefined && this.#follower.hasChanged()) {
      const reading = this.#follower.read(readBytes);
      if (reading === undefined) break;
      if (reading.type === 'gap') {
        // What comes from here on is for the snapshot that is needed now.
        this.begin();
        this.#events.onGap(reading.why);
        continue;
      }
      this.#position = reading.to;
      this.#events.onBatch(this.#spool.add(reading, this.#clock.now()));
      // What is committed meanwhile is for the next look.
      if (!reading.hasMore) break;
    }
    return this.#position?.number !== before;
  }

  /** What a store that stands at `position` lacks of all that was read. Undefined if that is not known. */
  after(position: LogPosition): readonly Batch[] | undefined {
    return this.#spool.after(position);
  }

  /** As `LogFollower`. */
  wasAt(position: LogPosition): 'yes' | 'no' | 'unknown' {
    return this.#follower.wasAt(position);
  }
}
