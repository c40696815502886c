import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type {
  LogFollower,
  LogPosition,
  LogReading,
  LogTarget,
  LoggedOperation,
  OperationLog,
} from '../../../src/stores/operation-log.ts';

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** All that a store holds. */
export interface Content {
  readonly operations: readonly LoggedOperation[];
  /** What has no number. */
  readonly rest: string;
}

/**
 * A store in memory with a log of its own, as Chroma keeps one: numbers without a gap, which go back if what has the newest goes, and a
 * queue that is purged from its beginning. Beside it a directory, for what looks at files.
 */
export class ModelStore {
  #operations: LoggedOperation[];
  #rest: string;
  #purgedTo = 0;
  /** The numbers to which it was cut, in order. */
  readonly #cuts: number[] = [];
  #version = 0;

  constructor(dir: string, { operations, rest }: Content) {
    this.#operations = [...operations];
    this.#rest = rest;
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'f'), '');
  }

  get content(): Content {
    return { operations: this.#operations, rest: this.#rest };
  }

  get version(): number {
    return this.#version;
  }

  get cuts(): readonly number[] {
    return this.#cuts;
  }

  get purgedTo(): number {
    return this.#purgedTo;
  }

  write(text: string): void {
    const number = (this.#operations.at(-1)?.number ?? 0) + 1;
    this.#operations.push({ number, text: JSON.stringify([number, text]) });
    this.#changed();
  }

  /** A collection is deleted together with the newest operations. */
  cut(count: number, rest: string): void {
    this.#operations.splice(Math.max(0, this.#operations.length - count), count);
    const number = this.#operations.at(-1)?.number ?? 0;
    this.#cuts.push(number);
    this.#purgedTo = Math.min(this.#purgedTo, Math.max(0, number - 1));
    this.change(rest);
  }

  change(rest: string): void {
    this.#rest = rest;
    this.#changed();
  }

  /** The queue keeps the newest operation only. */
  purge(): void {
    this.#purgedTo = Math.max(0, (this.#operations.at(-1)?.number ?? 0) - 1);
    this.#version += 1;
  }

  #changed(): void {
    this.#version += 1;
  }
}

export const textOf = (content: Content): string => JSON.stringify(content);

export function positionOf({ operations, rest }: Content): LogPosition {
  const last = operations.at(-1);
  return {
    number: last?.number ?? 0,
    operation: last === undefined ? null : digest(last.text),
    rest: digest(rest),
  };
}

/** The logs of the stores in these directories. */
export function modelLog(stores: ReadonlyMap<string, ModelStore>): OperationLog {
  const storeAt = (dir: string): ModelStore => {
    const store = stores.get(dir);
    if (store === undefined) throw new SyncAgentError('NOT_FOUND', `there is no store at ${dir}`);
    return store;
  };
  return {
    follow: (dir) => new ModelFollower(storeAt(dir)),
    positionOf: (dir) => positionOf(storeAt(dir).content),
    wasAt: (dir, position) => wasAt(storeAt(dir), position),
    openTarget: (dir) => new ModelTarget(storeAt(dir)),
    subjectOf: () => undefined,
  };
}

function wasAt({ content, purgedTo }: ModelStore, position: LogPosition): 'yes' | 'no' | 'unknown' {
  if (position.number === 0) return 'yes';
  if (position.number > positionOf(content).number) return 'no';
  if (position.number <= purgedTo) return 'unknown';
  return digestAt(content, position.number) === position.operation ? 'yes' : 'no';
}

function digestAt({ operations }: Content, number: number): string | null {
  const found = operations[number - 1];
  return found === undefined ? null : digest(found.text);
}

class ModelFollower implements LogFollower {
  readonly #store: ModelStore;
  #from: LogPosition = { number: 0, operation: null, rest: '' };
  #wasThere = true;
  #seen = -1;
  #cutsSeen = 0;

  constructor(store: ModelStore) {
    this.#store = store;
  }

  start(from: LogPosition): void {
    this.#from = from;
    this.#seen = -1;
    this.#wasThere = wasAt(this.#store, from) === 'yes';
    this.#cutsSeen = this.#store.cuts.length;
  }

  hasChanged(): boolean {
    return this.#store.version !== this.#seen;
  }

  read(): LogReading | undefined {
    const { content, cuts, purgedTo, version } = this.#store;
    const cutTo = Math.min(...cuts.slice(this.#cutsSeen));
    this.#cutsSeen = cuts.length;
    const { rest } = positionOf(content);
    if (!this.#wasThere) return gap(this.#from.number, 'the store never was there');
    const isCut = cutTo < this.#from.number;
    const from = isCut ? { number: cutTo, operation: digestAt(content, cutTo) } : this.#from;
    const operations = content.operations.slice(from.number);
    if (operations.length > 0 && purgedTo > from.number) return gap(from.number, 'they were purged');
    this.#seen = version;
    if (!isCut && operations.length === 0 && rest === this.#from.rest) return undefined;
    const isSame = rest === this.#from.rest;
    const last = operations.at(-1);
    this.#from = {
      number: last?.number ?? from.number,
      operation: last === undefined ? from.operation : digest(last.text),
      rest,
    };
    return {
      type: 'entries',
      operations,
      to: this.#from,
      hasMore: false,
      ...(isCut ? { cutTo } : {}),
      ...(isSame ? {} : { rest: [restLine(content.rest)] }),
    };
  }

  position(): LogPosition {
    return positionOf(this.#store.content);
  }

  wasAt(position: LogPosition): 'yes' | 'no' | 'unknown' {
    return wasAt(this.#store, position);
  }

  close(): void {}
}

const gap = (after: number, why: string): LogReading => ({ type: 'gap', after, why });
const restLine = (rest: string): string => JSON.stringify({ rest });

class ModelTarget implements LogTarget {
  readonly #store: ModelStore;

  constructor(store: ModelStore) {
    this.#store = store;
  }

  get position(): LogPosition {
    return positionOf(this.#store.content);
  }

  cut(number: number): void {
    const { operations, rest } = this.#store.content;
    this.#store.cut(operations.length - number, rest);
  }

  put(line: string): void {
    if (line.startsWith('{')) return this.#store.change((JSON.parse(line) as { rest: string }).rest);
    const [number, text] = JSON.parse(line) as [number, string];
    this.#store.write(text);
    if (this.position.number !== number)
      throw new SyncAgentError('STORE_CORRUPT', `operation ${number} does not follow`);
  }

  finish(): LogPosition {
    return this.position;
  }

  close(): void {}
}
