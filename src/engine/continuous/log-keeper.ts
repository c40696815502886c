import { isSyncAgentError, messageOf } from '../../platform/errors.ts';
import {
  isLogGivenUp,
  logNextPath,
  logReadyPath,
  readLogNext,
  readLogReady,
  writeLogFile,
} from '../../home/log-files.ts';
import { statePath } from '../../home/home.ts';
import type { LogView } from '../../log/commit-log.ts';
import type { ChainEnd } from '../../log/segments/read-segments.ts';
import type { LogPosition } from '../../log/segments/position.ts';
import type { OperationLog } from '../../stores/operation-log.ts';
import type { Context } from '../context.ts';
import { knownParent } from '../known-manifests.ts';
import { readRemote } from '../remote-log.ts';
import { ChangedFile } from './watch/changed-file.ts';
import { SameStore } from './watch/same-store.ts';
import { LogOvertaken, LogWriter } from './log-writer.ts';
import type { ShippedSegment } from './log-writer.ts';
import { endLeftLog, endOfLog, recordedParent } from './parent-log.ts';
import { rankLog } from '../lease/rank-log.ts';
import type { SavePoint } from './flush-requests.ts';
import { LogReader } from './reading/log-reader.ts';
import type { Batch } from './reading/spool.ts';
import { ShippedRecord } from './shipped-record.ts';

/** Read and not yet in the remote, while it is out of reach. Then a snapshot takes less than the log. */
const mostPendingBytes = 64 * 1024 * 1024;

export interface LogKeeperEvents {
  readonly onShipped: (segment: ShippedSegment) => void;
  /** The log cannot go on: a snapshot is needed, from which another one does. Told once for each reason. */
  readonly onBroken: (why: string, isGap: boolean) => void;
  /** The log of this snapshot is written from now on. */
  readonly onFollowing: (snapshot: string, position: LogPosition) => void;
}

const placeIn = (writer: LogWriter): Omit<SavePoint, 'coming'> => ({ writer, added: writer.counts.added });

const isLogged = ({ snapshots }: LogView, id: string): boolean =>
  snapshots.some(({ entry }) => entry.id === id && entry.logged === true);

const nothing = { type: 'entries', operations: [], hasMore: false, bytes: 0 } as const;

/**
 * Reads the log of a store in use and writes it into the remote, behind the snapshot that it continues. While a new snapshot is being
 * made, what is read goes behind both, so that whichever counts at any moment has all of it.
 *
 * The caller reads (`read`) whenever the store may have changed, also while `obey` and `ship` wait for answers: what is not read is purged some
 * time. Neither of those two is called twice at once.
 */
export class LogKeeper {
  readonly #context: Context;
  readonly #events: LogKeeperEvents;
  readonly #reader: LogReader;
  readonly #writer: string;
  readonly #record: ShippedRecord;
  readonly #next: ChangedFile;
  readonly #state: ChangedFile;
  readonly #same: SameStore;
  #current: LogWriter | undefined;
  #coming: LogWriter | undefined;
  #broken: string | undefined;
  /** What was followed when the coming snapshot was begun. */
  #continued: LogWriter | undefined;
  /** Logs that have to be ended, because others go on from them. */
  readonly #left: { readonly writer: LogWriter; readonly by: string }[] = [];
  /** Under which the followed log counts. */
  #epoch: number | undefined;
  /** Of the lease at the last call of `ship`. */
  #held: number | undefined;
  #isNextDue = false;
  #isParentDue = true;

  constructor(context: Context, log: OperationLog, events: LogKeeperEvents) {
    this.#context = context;
    this.#events = events;
    this.#reader = new LogReader(log.follow(context.home.store), context.clock, {
      onBatch: (batch) => this.#add(batch),
      onGap: (why) => this.#endAtGap(why),
    });
    this.#writer = context.clock.randomHex(16);
    this.#record = new ShippedRecord(context, this.#writer);
    this.#next = new ChangedFile(logNextPath(context.home));
    this.#state = new ChangedFile(statePath(context.home));
    this.#same = new SameStore(context.home.store, context.clock);
  }

  close(): void {
    this.#reader.close();
  }

  get hasPending(): boolean {
    return [this.#current, this.#coming].some((each) => each !== undefined && each.pending.length > 0);
  }

  /** All that was read by now. Undefined while no log is written. */
  savePoint(): SavePoint | undefined {
    const [current, coming] = [this.#current, this.#coming];
    return current && { ...placeIn(current), coming: coming && placeIn(coming) };
  }

  /** When the oldest write was read that is not saved, milliseconds since the epoch. */
  get unsavedSinceMs(): number | undefined {
    return this.#current?.pending[0]?.readAtMs;
  }

  /** All that was read is in the log of the snapshot that counts. */
  get isWhole(): boolean {
    return this.#current !== undefined && this.#broken === undefined && this.#current.pending.length === 0;
  }

  /** Begins to read. Makes no request. */
  async begin(): Promise<void> {
    this.#state.hasChanged();
    await this.#same.begin();
    this.#reader.begin();
  }

  /** Reads what came since. Whether there were operations. */
  read(): boolean {
    return this.#reader.read();
  }

  /** Whether `obey` has anything to do. Looks at two files. */
  isObeyDue(): boolean {
    if (this.#next.hasChanged()) this.#isNextDue = true;
    if (this.#state.hasChanged()) {
      this.#isParentDue = true;
      this.#same.expire();
    }
    const isDue = this.#isNextDue || this.#isParentDue || this.#same.isDue;
    return isDue || this.#left.length > 0 || this.#held !== this.#epoch;
  }

  /** Obeys what a backup has left in the home. What a failed call has not done is done by the next one. */
  async obey(epoch: () => Promise<number | undefined>): Promise<void> {
    if (!this.isObeyDue()) return;
    await this.#same.assert();
    if (this.#isNextDue) {
      await this.#prepareNext();
      this.#isNextDue = false;
    }
    if (this.#isParentDue) {
      await this.#followParent(await epoch());
      this.#isParentDue = false;
    }
    if (this.#held !== this.#epoch) await this.#raise();
    for (let left = this.#left[0]; left !== undefined; left = this.#left[0]) {
      const { writer, by } = left;
      // So that the next snapshot stands somewhere in this log, and a host that was in it before sees that it is behind.
      while (await this.#shipBehind(writer, this.#held));
      const { snapshot, end } = writer;
      await endLeftLog(this.#context, { snapshot, by, after: end.number, writer: this.#writer });
      this.#left.shift();
    }
  }

  /** Writes one segment behind each snapshot. False if nothing was left to write. */
  async ship(epoch: number | undefined): Promise<boolean> {
    this.#held = epoch;
    const written = await Promise.all(
      [this.#current, this.#coming].map(async (writer) => writer && this.#shipBehind(writer, epoch)),
    );
    return written.some((each) => each === true);
  }

  async #shipBehind(writer: LogWriter, epoch: number | undefined): Promise<boolean> {
    const isCurrent = writer === this.#current;
    try {
      const shipped = await writer.ship(epoch);
      if (shipped === undefined) return false;
      // It is this host's also if a gap has ended the log meanwhile.
      if (writer === this.#current || (isCurrent && this.#current === undefined))
        await this.#record.write(writer);
      if (writer === this.#current) this.#events.onShipped(shipped);
      return true;
    } catch (error) {
      if (!(error instanceof LogOvertaken) && !isSyncAgentError(error, 'UNSUPPORTED')) throw error;
      if (writer === this.#coming) this.#coming = undefined;
      if (writer === this.#current) {
        this.#current = undefined;
        this.#break(messageOf(error));
      }
      return false;
    }
  }

  #add(batch: Batch): void {
    for (const writer of [this.#current, this.#coming]) {
      if (writer === undefined) continue;
      // What a new log lacks, it has got from the spool already.
      writer.add([batch]);
      if (writer.pendingBytes <= mostPendingBytes) continue;
      if (writer === this.#current) this.#break('the remote was out of reach for too long');
      this.#current = writer === this.#current ? undefined : this.#current;
      this.#coming = writer === this.#coming ? undefined : this.#coming;
    }
  }

  #endAtGap(why: string): void {
    this.#current = undefined;
    this.#coming = undefined;
    this.#break(why, true);
  }

  /** A backup has captured the store: its log begins there. */
  async #prepareNext(): Promise<void> {
    const { fs, home } = this.#context;
    const next = await readLogNext(home);
    if (next === undefined) return;
    const { snapshot, position } = next;
    // That backup is over: its log may have gone on without this process.
    if (snapshot === (await recordedParent(this.#context)).parent) return;
    const coming = await this.#writerFor(snapshot, { number: 0, checksum: null, position });
    // The image may be younger than the last look.
    this.#reader.read();
    const batches = this.#reader.after(position);
    if (batches !== undefined) {
      coming.add(batches);
      this.#coming = coming;
      const { added } = coming.counts;
      // What is read meanwhile goes behind both.
      while (coming.counts.written < added && (await this.#shipBehind(coming, undefined)));
    }
    const isReady = this.#coming === coming;
    // An earlier process has answered, and wrote that log: its name is what its segments are known by.
    if (!isReady && (await readLogReady(home))?.snapshot === snapshot) return;
    this.#continued = this.#current;
    await writeLogFile(fs, logReadyPath(home), {
      snapshot,
      isReady,
      continues: this.#continued?.snapshot ?? null,
      writer: this.#writer,
    });
  }

  /** The store's parent is another snapshot now: one that was just made, or somebody restored. */
  async #followParent(epoch: number | undefined): Promise<void> {
    const { parent, pending } = await recordedParent(this.#context);
    const current = this.#current?.snapshot;
    // A commit that nobody has recorded was found by `#adopt`.
    if (current !== undefined && (current === parent || current === pending)) return;
    if (this.#coming !== undefined && parent === this.#coming.snapshot) {
      // A backup that had its answer too late made it without a log.
      if ((await knownParent(this.#context))?.position !== undefined) return this.#goOn(this.#coming);
    }
    this.#leave(parent);
    this.#current = undefined;
    await this.#adopt(epoch);
  }

  /** Another snapshot goes on from the followed one. Its log has to be ended also if it was lost to another host meanwhile. */
  #leave(by: string | undefined): void {
    const writer = this.#current ?? this.#continued;
    if (writer === undefined || by === undefined || by === writer.snapshot) return;
    this.#left.push({ writer, by });
    this.#continued = undefined;
  }

  /** The snapshot that was being made counts. */
  async #goOn(coming: LogWriter): Promise<void> {
    this.#leave(coming.snapshot);
    this.#current = coming;
    this.#coming = undefined;
    this.#begun(coming);
    await this.#record.write(coming);
  }

  /** What is read meanwhile goes behind it, as long as it is the coming one. */
  async #goOnRanked(coming: LogWriter, view: LogView, epoch: number | undefined): Promise<void> {
    const isRanked = epoch === undefined || (await this.#rank(view, coming.snapshot, epoch));
    // A read may have found that the log cannot go on.
    if (isRanked && this.#coming === coming) return this.#goOn(coming);
    this.#coming = undefined;
  }

  /** Finds out whether the log of the store's parent can be continued. */
  async #adopt(epoch: number | undefined): Promise<void> {
    const recorded = await recordedParent(this.#context);
    if (recorded.parent === undefined && recorded.pending === undefined)
      return this.#break('there is no snapshot of this store yet');
    if (await isLogGivenUp(this.#context.home))
      return this.#break('the store is as of an earlier moment, or was mended');
    const view = await readRemote(this.#context);
    const isLive = (id: string): boolean => view.snapshots.some(({ entry }) => entry.id === id);
    // A backup may have died, or lost its answer, when its commit was made.
    const isCommitted = recorded.pending !== undefined && isLive(recorded.pending);
    const parent = isCommitted ? recorded.pending : recorded.parent;
    if (parent === undefined) return this.#break('there is no snapshot of this store yet');
    const coming = this.#coming;
    if (coming !== undefined && parent === coming.snapshot) {
      // It is written already: a second writer would take its numbers.
      if (isLogged(view, parent)) return this.#goOnRanked(coming, view, epoch);
      this.#coming = undefined;
    }
    const end = await endOfLog(this.#context, view, parent);
    if (typeof end === 'string') return this.#break(end);
    const wasAt = this.#reader.wasAt(end.position);
    if (wasAt === 'no')
      return this.#break(`the log of snapshot ${parent} has writes that this store does not have`);
    const writer = await this.#writerFor(parent, end);
    // A segment that it dies before it has recorded is known by this to be its own.
    if (wasAt === 'yes' || (await this.#record.hasEnd(parent, end))) await this.#record.write(writer);
    if (epoch !== undefined) {
      if (!(await this.#rank(view, parent, epoch))) return;
      if (!(await this.#claim(writer, epoch))) return this.#break('another host writes the log');
    }
    this.#reader.read();
    const read = this.#reader.after(end.position);
    if (read === undefined) this.#reader.startAt(end.position);
    else writer.add(read);
    this.#current = writer;
    this.#reader.read();
    if (this.#follows(writer)) this.#begun(writer);
  }

  /** A read may have found that the log cannot go on. */
  #follows(writer: LogWriter): boolean {
    return this.#current === writer;
  }

  /** The lease was taken after the log was begun, or the snapshot was made under it. */
  async #raise(): Promise<void> {
    const [current, held] = [this.#current, this.#held];
    if (current === undefined || held === undefined) return;
    if ((await recordedParent(this.#context)).parent !== current.snapshot) return;
    if (!(await this.#rank(await readRemote(this.#context), current.snapshot, held))) return;
    if (current === this.#current) await this.#claim(current, held);
  }

  /** Whether the log is this host's to continue. */
  async #rank(view: LogView, snapshot: string, epoch: number): Promise<boolean> {
    const why = await rankLog(this.#context, view, snapshot, epoch);
    if (why === undefined) {
      this.#epoch = epoch;
      return true;
    }
    this.#current = undefined;
    this.#break(why);
    return false;
  }

  /** With a lease, whoever wrote the log before may not go on with it: the next number is taken. */
  async #claim(writer: LogWriter, epoch: number): Promise<boolean> {
    if (writer.pending.length === 0)
      writer.add([{ ...nothing, to: writer.position, readAtMs: this.#context.clock.now() }]);
    return (await this.#shipBehind(writer, epoch)) || writer.pending.length === 0;
  }

  async #writerFor(snapshot: string, end: ChainEnd): Promise<LogWriter> {
    const { isConditional } = await recordedParent(this.#context);
    return new LogWriter(this.#context, { snapshot, end, writer: this.#writer, isConditional });
  }

  #begun(writer: LogWriter): void {
    this.#broken = undefined;
    this.#events.onFollowing(writer.snapshot, writer.end.position);
  }

  #break(why: string, isGap = false): void {
    if (this.#broken !== undefined) return;
    this.#broken = why;
    this.#events.onBroken(why, isGap);
  }
}
