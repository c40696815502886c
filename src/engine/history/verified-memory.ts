import { writeVerified } from '../../home/records/verified-record.ts';
import type { VerifiedRecord } from '../../home/records/verified-record.ts';
import { messageOf } from '../../platform/errors.ts';
import type { Context } from '../context.ts';
import { placeOf } from './turns.ts';
import type { InTurn } from './turns.ts';

const savedEveryMs = 30_000;

interface Forgotten {
  readonly damaged: ReadonlySet<string>;
  readonly live: ReadonlySet<string> | undefined;
}

/** What was read, before and now. */
export class VerifiedMemory {
  last: VerifiedRecord['last'];
  readonly #context: Context;
  readonly #before: ReadonlyMap<string, number>;
  readonly #now = new Map<string, number>();
  readonly #most: number | undefined;
  #forgotten: Forgotten = { damaged: new Set(), live: undefined };
  #savedAtMs: number;
  #hasWarned = false;

  constructor(context: Context, { last, verified }: VerifiedRecord, most: number | undefined) {
    this.last = last;
    this.#context = context;
    this.#before = verified;
    this.#most = most;
    this.#savedAtMs = context.clock.monotonic();
  }

  isReadNow(id: string): boolean {
    return this.#now.has(id);
  }

  /** Seconds since the epoch. */
  readAt(id: string): number | undefined {
    return this.#now.get(id) ?? this.#before.get(id);
  }

  /** Its bytes were read just now, and are right. */
  async verified(each: InTurn): Promise<void> {
    const { clock } = this.#context;
    this.#now.set(each.id, Math.floor(clock.now() / 1000));
    if (each.readAt === undefined) this.last = placeOf(each);
    if (clock.monotonic() - this.#savedAtMs < savedEveryMs) return;
    this.#savedAtMs = clock.monotonic();
    await this.save();
  }

  /** Forgets what is damaged, and all but `live` if that is given. */
  async forget({ damaged, live }: Forgotten): Promise<void> {
    this.#forgotten = { damaged, live };
    await this.save();
  }

  async save(): Promise<void> {
    const { fs, home, remoteId, emit } = this.#context;
    const { damaged, live } = this.#forgotten;
    const verified = new Map(
      [...this.#before, ...this.#now].filter(([id]) => !damaged.has(id) && live?.has(id) !== false),
    );
    try {
      await writeVerified(fs, { home, remoteId, most: this.#most }, { last: this.last, verified });
    } catch (error) {
      if (this.#hasWarned) return;
      this.#hasWarned = true;
      const message = `Cannot remember what was verified: ${messageOf(error)}`;
      emit({ type: 'warning', code: 'NOTICE', message });
    }
  }
}
