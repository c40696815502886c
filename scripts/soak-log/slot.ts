import { setTimeout as sleep } from 'node:timers/promises';
import { apply, copyOf, stateAfter } from './history.ts';
import type { Logged, Operation, SlotState } from './history.ts';
import type { CollectionKind, ServerCalls } from './server-calls.ts';

export interface SlotSpec extends CollectionKind {
  readonly name: string;
  /** Records a second, as far as the server can. */
  readonly rate: number;
  readonly batch: number;
  /** Ids that are in use at most. */
  readonly working: number;
  /** Of the operations, changes of the collection itself. */
  readonly changes: number;
}

/** One writer, which sends one request at a time, and its history since the last restore. */
export class Slot {
  readonly spec: SlotSpec;
  readonly #random: () => number;
  base: SlotState = undefined;
  operations: Logged[] = [];
  acknowledged = 0;
  failure: string | undefined;
  #state: SlotState = undefined;
  #serial = 0;

  constructor(spec: SlotSpec, random: () => number) {
    this.spec = spec;
    this.#random = random;
  }

  /** The store was restored as it was after so many operations; nothing before that can be asked for. */
  goOnAfter(count: number): void {
    this.base = stateAfter(this.base, this.operations.slice(0, count));
    this.operations = [];
    this.#state = copyOf(this.base);
  }

  /** The store is the same, with so many of the operations in it. Whether they are in the remote is another matter. */
  keepOn(count: number): void {
    this.operations.length = count;
    const last = this.operations.at(-1);
    if (last !== undefined) last.ackedAtMs ??= Date.now();
    this.#state = stateAfter(this.base, this.operations);
  }

  forget(): void {
    this.base = undefined;
    this.operations = [];
    this.#state = undefined;
  }

  /** Writes until the signal aborts, or a request fails. That is a failure of the server unless it `isEnding`. */
  async write(server: ServerCalls, signal: AbortSignal, isEnding: () => boolean): Promise<void> {
    const { name, rate, batch } = this.spec;
    const periodMs = (batch / rate) * 1000;
    let dueMs = performance.now() + this.#random() * periodMs;
    while (!signal.aborted) {
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      dueMs = Math.max(dueMs + periodMs, performance.now() - 1000);
      const operation = this.#next();
      const logged: Logged = { operation, sentAtMs: Date.now(), ackedAtMs: undefined };
      this.operations.push(logged);
      try {
        await server.carryOut(operation, this.#state?.name ?? '', this.spec, signal);
      } catch (error) {
        if (!signal.aborted && !isEnding()) this.failure = `${name}: ${operation.type}: ${causeOf(error)}`;
        return;
      }
      logged.ackedAtMs = Date.now();
      this.acknowledged += 'ids' in operation ? operation.ids.length : 1;
      this.#state = apply(this.#state, operation).state;
    }
  }

  #next(): Operation {
    const { name, changes } = this.spec;
    this.#serial += 1;
    const version = this.#serial;
    if (this.#state === undefined) return { type: 'create', name: `${name}.${version}`, mark: version };
    if (this.#random() < changes) {
      const dice = this.#random();
      if (dice < 0.3) return { type: 'rename', name: `${name}.${version}` };
      return dice < 0.6 ? { type: 'mark', mark: version } : { type: 'drop' };
    }
    const { records } = this.#state;
    const dice = this.#random();
    const known = dice < 0.35 ? this.#some([...records.keys()]) : [];
    if (known.length === 0) return { type: 'upsert', ids: this.#anyIds(), version };
    return dice < 0.15 ? { type: 'delete', ids: known } : { type: 'update', ids: known, version };
  }

  #anyIds(): readonly string[] {
    const { batch, working, name } = this.spec;
    const from = Math.floor(this.#random() * working);
    return Array.from({ length: batch }, (_, index) => `${name}-${(from + index) % working}`);
  }

  #some(ids: readonly string[]): readonly string[] {
    const from = Math.floor(this.#random() * ids.length);
    return ids.slice(from, from + this.spec.batch);
  }
}

const causeOf = (error: unknown): string =>
  error instanceof Error
    ? `${error.message} ${error.cause === undefined ? '' : causeOf(error.cause)}`
    : String(error);
