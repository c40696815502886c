import { stat, truncate } from 'node:fs/promises';
import type { Remote } from '../../src/remotes/remote.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import type { FileSystem, WritableFile } from '../../src/platform/file-system.ts';

/** What a process sees when the power goes: nothing works any more. */
export class PowerCut extends Error {
  override readonly name = 'PowerCut';
}

/** A file that was not synced since it was written. Links to it are other names of the same. */
interface Unsynced {
  /** Bytes that are durable all the same. */
  readonly durable: number;
}

/** A cut after an effect is a cut before the next one. */
export type CutMode = 'before' | 'half';

/**
 * Counts effects, on disk and in the remote, and cuts the power at the n-th: before it or, where it is made of
 * several (bytes written, objects deleted), in its middle. From then on every call fails and nothing has an effect.
 * Files that were not synced since they were written are empty then, as where allocation is delayed; of a line that was added, only
 * that is lost.
 */
export class Power {
  readonly effects: string[] = [];
  /** What of each file is durable, bytes. */
  readonly #unsynced = new Map<string, Unsynced>();
  #isCut = false;
  readonly #cutAt: number;
  readonly #mode: CutMode;
  readonly #since: RegExp;

  /** `since`: the effect that is the first to be counted. */
  constructor(cutAt = Number.POSITIVE_INFINITY, mode: CutMode = 'before', since = /^/) {
    this.#cutAt = cutAt;
    this.#mode = mode;
    this.#since = since;
  }

  /** Whether the last effect can happen by half. */
  get isDivisible(): boolean {
    return /^(write|delete)/.test(this.effects.at(-1) ?? '');
  }

  /** What of each file that was not synced is durable all the same, bytes. */
  get unsynced(): ReadonlyMap<string, number> {
    return new Map([...this.#unsynced].map(([path, { durable }]) => [path, durable]));
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  check(): void {
    if (this.#isCut) throw new PowerCut('the power is off');
  }

  async effect<T>(
    name: string,
    work: () => Promise<T>,
    half: () => Promise<unknown> = async () => undefined,
  ): Promise<T> {
    this.check();
    if (this.effects.length === 0 && !this.#since.test(name)) return work();
    this.effects.push(name);
    // What is under way when the power goes may still happen.
    if (this.effects.length !== this.#cutAt) return work();
    if (this.#mode === 'half') await half();
    this.#isCut = true;
    // What was removed meanwhile is gone anyway.
    for (const [path, { durable }] of this.#unsynced) await truncate(path, durable).catch(() => undefined);
    throw new PowerCut(`the power was cut ${this.#mode} effect ${this.#cutAt}: ${name}`);
  }

  wrote(path: string): void {
    this.#unsynced.set(path, { durable: 0 });
  }

  added(path: string, to: number): void {
    if (!this.#unsynced.has(path)) this.#unsynced.set(path, { durable: to });
  }

  linked(from: string, to: string): void {
    const file = this.#unsynced.get(from);
    if (file !== undefined) this.#unsynced.set(to, file);
  }

  synced(path: string): void {
    const file = this.#unsynced.get(path);
    if (this.#isCut || file === undefined) return;
    for (const [name, each] of Array.from(this.#unsynced)) if (each === file) this.#unsynced.delete(name);
  }

  syncedAll(): void {
    if (!this.#isCut) this.#unsynced.clear();
  }

  /** A file, or a directory with all that is in it. */
  moved(from: string, to: string): void {
    for (const [path, file] of Array.from(this.#unsynced)) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.#unsynced.delete(path);
      this.#unsynced.set(to + path.slice(from.length), file);
    }
  }
}

export function poweredFileSystem(power: Power, fs: FileSystem = nodeFileSystem): FileSystem {
  return {
    makeDirectory: (path, options) => power.effect(`mkdir ${path}`, () => fs.makeDirectory(path, options)),
    rename: (from, to) =>
      power.effect(`rename ${from} ${to}`, async () => {
        await fs.rename(from, to);
        power.moved(from, to);
      }),
    remove: (path) => power.effect(`remove ${path}`, () => fs.remove(path)),
    link: (from, to) =>
      power.effect(`link ${from} ${to}`, async () => {
        await fs.link(from, to);
        power.linked(from, to);
      }),
    copy: (from, to, options) =>
      power.effect(`copy ${from} ${to}`, async () => {
        await fs.copy(from, to, options);
        power.wrote(to);
      }),
    setAttributes: (path, attributes) =>
      power.effect(`set ${path}`, () => fs.setAttributes(path, attributes)),
    sync: (path) =>
      power.effect(`sync ${path}`, async () => {
        await fs.sync(path);
        power.synced(path);
      }),
    // Not asked of the disk itself: other tests would wait for it as well.
    syncAll: (path) =>
      power.effect(`sync all ${path}`, async () => {
        power.syncedAll();
        return true;
      }),
    appendLine: (path, line) =>
      power.effect(
        `write ${path}`,
        async () => {
          power.added(path, (await stat(path)).size);
          await fs.appendLine(path, line);
        },
        () => fs.appendLine(path, line.slice(0, line.length >> 1)),
      ),
    openForWrite: async (path, options) => {
      const file = await power.effect(`create ${path}`, () => fs.openForWrite(path, options));
      return poweredFile(power, path, file);
    },
  };
}

function poweredFile(power: Power, path: string, file: WritableFile): WritableFile {
  return {
    write: (bytes, position) =>
      power.effect(
        `write ${path}`,
        async () => {
          power.wrote(path);
          await file.write(bytes, position);
        },
        () => file.write(bytes.subarray(0, bytes.byteLength >> 1), position),
      ),
    truncate: (size) => power.effect(`truncate ${path}`, () => file.truncate(size)),
    sync: () =>
      power.effect(`sync ${path}`, async () => {
        await file.sync();
        power.synced(path);
      }),
    close: () => file.close(),
  };
}

/** A remote that outlives the cut: only this host's calls stop. */
export function poweredRemote(power: Power, store: Remote): Remote {
  const reading = async <T>(work: () => Promise<T>): Promise<T> => {
    power.check();
    const result = await work();
    power.check();
    return result;
  };
  return {
    location: store.location,
    put: (key, body, options) => power.effect(`put ${key}`, () => store.put(key, body, options)),
    copy: (from, to, options) => power.effect(`copy ${from} ${to}`, () => store.copy(from, to, options)),
    remove: (keys, options) =>
      power.effect(
        `delete ${keys.join(' ')}`,
        () => store.remove(keys, options),
        () => store.remove(keys.slice(0, keys.length >> 1), options),
      ),
    sweepUploads: (prefix, before, options) =>
      power.effect('sweep', () => store.sweepUploads(prefix, before, options)),
    get: (key, options) => reading(() => store.get(key, options)),
    head: (key, options) => reading(() => store.head(key, options)),
    listDirectories: (prefix, options) => reading(() => store.listDirectories(prefix, options)),
    async *list(prefix, options) {
      power.check();
      yield* store.list(prefix, options);
      power.check();
    },
    close: () => store.close(),
  };
}
