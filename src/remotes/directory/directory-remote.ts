import { readdir, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { systemClock, type Clock } from '../../platform/clock.ts';
import { SyncAgentError, errnoOf, throwIfAborted } from '../../platform/errors.ts';
import { nodeFileSystem, type FileSystem } from '../../platform/file-system.ts';
import { Unsynced } from '../../platform/disk/unsynced.ts';
import { describeCall, describeKeys, type RemoteOperation } from '../describe-call.ts';
import { describeFailure, missing, openObject, readObject, versionOf } from './directory-file.ts';
import { copyObject, putObject } from './directory-put.ts';
import type { ObjectPlace } from './directory-put.ts';
import {
  assertRoot,
  directoriesWithObjects,
  lastModifiedOf,
  objectModified,
  parentsOf,
  statEntry,
  statObject,
  temporaryDirectory,
  walkObjects,
} from './directory-tree.ts';
import { createDirectoryDisk } from './directory-disk.ts';
import type { DirectoryDisk } from './directory-disk.ts';
import { assertKey, assertRange } from '../key.ts';
import type {
  Body,
  CallOptions,
  CopyOptions,
  DirectoryListing,
  GetOptions,
  GetResult,
  ListOptions,
  ListPage,
  ObjectInfo,
  Remote,
  PutOptions,
  PutResult,
  WriteOptions,
} from '../remote.ts';

export interface DirectorySettings {
  /** Absolute. Created by the first `put`; a missing directory is an empty remote, a file in its place an error. */
  readonly path: string;
  readonly fs?: FileSystem | undefined;
  readonly clock?: Clock | undefined;
}

const pageSize = 1000;
/** So long, the file system's clock is not asked again. */
const timeIsToldMs = 1000;

/**
 * A remote in a directory: the object `a/b` is the plain file `a/b`, private to this user. Objects are replaced by
 * rename and never written in place, so that a copy can be a hard link. Unlike S3 it cannot hold both `a` and `a/b`.
 *
 * Server time is the file system's clock as a `put` of this object saw it at most a second before the last one, which on a network
 * file system is another host's; before the first `put` it is this host's clock.
 */
export function createDirectoryRemote(settings: DirectorySettings): Remote {
  return new DirectoryRemote(settings);
}

class DirectoryRemote implements Remote {
  readonly location: string;
  readonly #root: string;
  readonly #disk: DirectoryDisk;
  readonly #clock: Clock;
  readonly #temporaryNames: string;
  #writes = 0;
  #clockOffsetMs = 0;
  #timeIsToldUntilMs = -Infinity;

  constructor({ path, fs = nodeFileSystem, clock = systemClock }: DirectorySettings) {
    this.location = pathToFileURL(path).href;
    this.#root = path;
    this.#disk = createDirectoryDisk(fs);
    this.#clock = clock;
    this.#temporaryNames = `${temporaryDirectory}/${clock.randomHex(12)}`;
  }

  put(key: string, body: Body, options: PutOptions = {}): Promise<PutResult> {
    return this.#run('put', key, options, async (action, device) => {
      this.#assertKey(key);
      await options.after;
      await putObject(this.#place(key), body, {
        ...options,
        action,
        device,
        onFile: (path) => this.#tellTime(path),
      });
      const file = join(this.#root, key);
      await this.#makeDurable(options, { file, directory: dirname(file) });
      return { serverTime: this.#serverTime() };
    });
  }

  get(key: string, options: GetOptions = {}): Promise<GetResult> {
    return this.#run('get', key, options, async (action) => {
      this.#assertKey(key);
      assertRange(options.range);
      // This check finds links on the way. All else is read from the descriptor.
      if ((await statObject(this.#disk, this.#root, key)) === undefined) throw missing(action);
      const object = await openObject(join(this.#root, key)).catch((error: unknown) => {
        throw errnoOf(error) === 'ENOENT' ? missing(action) : error;
      });
      try {
        const stats = await object.stat();
        const version = versionOf(stats);
        if (options.ifVersion !== undefined && options.ifVersion !== version) {
          throw new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: it was replaced meanwhile`);
        }
        const size = Number(stats.size);
        const start = options.range?.start ?? 0;
        const end = Math.min(size, options.range?.end ?? size);
        if (options.range !== undefined && start >= size) {
          throw new SyncAgentError(
            'REMOTE_UNREACHABLE',
            `Cannot ${action}: it has ${size} bytes, not ${start}`,
          );
        }
        const body = readObject(object, { start, end, action, signal: options.signal });
        return { size: end - start, body, version, serverTime: this.#serverTime() };
      } catch (error) {
        await object.close();
        throw error;
      }
    });
  }

  head(key: string, options: CallOptions = {}): Promise<ObjectInfo | undefined> {
    return this.#run('head', key, options, async () => {
      this.#assertKey(key);
      const stats = await statObject(this.#disk, this.#root, key);
      if (stats === undefined) return undefined;
      return { key, size: Number(stats.size), lastModified: await objectModified(this.#root, key, stats) };
    });
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListPage> {
    const batches = walkObjects(this.#root, { prefix, startAfter: options.startAfter ?? '' });
    let found: ObjectInfo[] = [];
    let isOver = false;
    for (let pages = 0; ; pages += 1) {
      await this.#run('list', prefix, options, async () => {
        while (!isOver && found.length < pageSize) {
          const next = await batches.next();
          if (next.done === true) isOver = true;
          else found.push(...next.value);
        }
      });
      if (found.length === 0 && pages > 0) return;
      yield { objects: found.slice(0, pageSize), serverTime: this.#serverTime() };
      found = found.slice(pageSize);
      if (isOver && found.length === 0) return;
    }
  }

  listDirectories(prefix: string, options: CallOptions = {}): Promise<DirectoryListing> {
    return this.#run('listDirectories', prefix, options, async () => ({
      names: await directoriesWithObjects(this.#root, prefix),
      serverTime: this.#serverTime(),
    }));
  }

  copy(from: string, to: string, options: CopyOptions = {}): Promise<void> {
    return this.#run('copy', from, options, async (action) => {
      this.#assertKey(from);
      this.#assertKey(to);
      if ((await statObject(this.#disk, this.#root, from)) === undefined) throw missing(action);
      await options.after;
      await copyObject(this.#place(to), join(this.#root, from)).catch((error: unknown) => {
        throw errnoOf(error) === 'ENOENT' ? missing(action) : error;
      });
      await this.#makeDurable(options, { directory: dirname(join(this.#root, to)) });
    });
  }

  remove(keys: readonly string[], options: CallOptions = {}): Promise<void> {
    return this.#run('remove', describeKeys(keys), options, async (action) => {
      const parents = new Set<string>();
      for (const key of keys) {
        throwIfAborted(options.signal, action);
        this.#assertKey(key);
        if ((await statObject(this.#disk, this.#root, key)) === undefined) continue;
        await this.#disk.remove(join(this.#root, key));
        parents.add(dirname(join(this.#root, key)));
      }
      for (const parent of parents) {
        await this.#disk.syncDirectory(parent).catch((error: unknown) => {
          if (errnoOf(error) !== 'ENOENT') throw error;
        });
      }
      for (const key of keys) await this.#removeEmptyParents(key);
    });
  }

  /** All uploads, whatever `prefix`: a temporary file does not tell which object it would have become. */
  sweepUploads(prefix: string, before: Date, options: CallOptions = {}): Promise<number> {
    return this.#run('sweepUploads', prefix, options, async () => {
      const home = join(this.#root, temporaryDirectory);
      const names = await readdir(home).catch((error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return [];
        throw error;
      });
      let swept = 0;
      for (const name of names) {
        const stats = await statEntry(join(home, name));
        if (stats === undefined || lastModifiedOf(stats) >= before) continue;
        await this.#disk.remove(join(home, name));
        swept += 1;
      }
      return swept;
    });
  }

  async close(): Promise<void> {}

  /** `file`: of a new object, whose bytes may be durable later. A link to an object has nothing new but its entry. */
  async #makeDurable(
    { durableLater }: WriteOptions,
    written: { readonly file?: string; readonly directory: string },
  ): Promise<void> {
    if (durableLater === undefined) await this.#disk.syncDirectory(written.directory);
    else await durableLater.unsynced(() => this.#newUnsynced()).add(written);
  }

  #newUnsynced(): Unsynced {
    const disk = this.#disk;
    // What another host has removed meanwhile need not be durable.
    const sync = (path: string): Promise<void> =>
      disk.sync(path).catch((error: unknown) => {
        if (errnoOf(error) !== 'ENOENT') throw describeFailure(error, `make "${path}" durable`);
      });
    return new Unsynced({ sync, syncAll: (path) => disk.syncAll(path) }, this.#root);
  }

  #assertKey(key: string): void {
    assertKey(key);
    if (key === temporaryDirectory || key.startsWith(`${temporaryDirectory}/`)) {
      throw new SyncAgentError('REFUSED', `Cannot use the key ${JSON.stringify(key)}: the name is reserved`);
    }
  }

  /** Of a file that was written just now. */
  async #tellTime(path: string): Promise<void> {
    if (this.#clock.monotonic() < this.#timeIsToldUntilMs) return;
    const written = await statEntry(path);
    if (written === undefined) return;
    this.#clockOffsetMs = lastModifiedOf(written).getTime() - this.#clock.now();
    this.#timeIsToldUntilMs = this.#clock.monotonic() + timeIsToldMs;
  }

  #serverTime(): Date {
    return new Date(this.#clock.now() + this.#clockOffsetMs);
  }

  #place(key: string): ObjectPlace {
    return {
      disk: this.#disk,
      root: this.#root,
      key,
      temporaryName: () => `${this.#temporaryNames}-${(this.#writes += 1)}`,
    };
  }

  /** rmdir takes only what is empty, so that a racing `put` loses no object; it makes its parents again. */
  async #removeEmptyParents(key: string): Promise<void> {
    for (const parent of parentsOf(key).toReversed()) {
      try {
        await rmdir(join(this.#root, parent));
        this.#disk.seen.forget();
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') return;
      }
    }
  }

  async #run<T>(
    operation: RemoteOperation,
    subject: string,
    { signal }: CallOptions,
    act: (action: string, device: bigint | undefined) => Promise<T>,
  ): Promise<T> {
    const action = describeCall(operation, subject, this.location);
    throwIfAborted(signal, action);
    try {
      return await act(action, await assertRoot(this.#root, action));
    } catch (error) {
      throw describeFailure(error, action);
    }
  }
}
