import pLimit from 'p-limit';
import type { LimitFunction } from 'p-limit';
import type { ManifestFile } from '../../log/manifest.ts';
import { concurrently } from '../../platform/concurrently.ts';
import { throwIfAborted } from '../../platform/errors.ts';
import type { WritableFile } from '../../platform/file-system.ts';
import type { ByteRange, Remote } from '../../remotes/remote.ts';
import type { FormatContext } from '../content-format.ts';
import { fetchRange } from './fetch-range.ts';
import type { SavedRead } from './fetch-range.ts';
import { followFile } from './hash-thread.ts';
import type { FollowingHash } from './hash-thread.ts';

/** Larger files come in ranges of about this size, several at a time. */
export const rangeBytes = 16 * 1024 * 1024;

/** What the large files of a remote share. */
interface Shared {
  /** Ranges take turns in the order of the files: so the first file is complete first, and memory does not grow with their number. */
  readonly turns: LimitFunction;
  /** A flush waits for the disk in a thread of the pool, which writes need as well. So there is one at a time. */
  isFlushing: boolean;
}

const sharedOf = new WeakMap<Remote, Shared>();

/**
 * Writes a large object to an open file, by ranges; resolves to the SHA-256 of the file. What has come is flushed meanwhile,
 * so that little is left for the last flush.
 */
export async function fetchLarge(
  context: FormatContext,
  read: SavedRead,
  target: WritableFile,
): Promise<string> {
  const { remote, settings, signal: asked } = context;
  const shared = sharedOf.get(remote) ?? { turns: pLimit(settings.concurrency), isFlushing: false };
  sharedOf.set(remote, shared);
  const parts = partsOf(read.file);
  const ranges = rangesOf(read.file.size, parts?.bytes ?? rangeBytes);
  let hash: FollowingHash | undefined;
  // Its thread starts when the first bytes are there: to start it would keep this one from asking for them.
  const follow = (): FollowingHash => (hash ??= followFile(read.to));
  const arrival =
    parts === undefined
      ? new WholeArrival(ranges, follow)
      : new PartsArrival({ ...read.file, parts }, follow);
  try {
    await concurrently(ranges, { concurrency: Infinity, signal: asked }, async (range, signal, index) => {
      await shared.turns(async () => {
        throwIfAborted(signal, 'Restore');
        await fetchRange({ ...context, signal }, read, range, async (chunk, position) => {
          await target.write(chunk, position);
          arrival.add(position, position + chunk.byteLength, index);
        });
      });
      await flushUnlessBusy(shared, target);
    });
    const sha256 = await arrival.sha256();
    throwIfAborted(asked, 'Restore');
    return sha256;
  } finally {
    hash?.close();
  }
}

async function flushUnlessBusy(shared: Shared, target: WritableFile): Promise<void> {
  if (shared.isFlushing) return;
  shared.isFlushing = true;
  await target.sync().finally(() => (shared.isFlushing = false));
}

/** Each has whole parts. */
function rangesOf(size: number, partBytes: number): readonly ByteRange[] {
  const bytes = partBytes * Math.max(1, Math.round(rangeBytes / partBytes));
  return Array.from({ length: Math.ceil(size / bytes) }, (_, index) => ({
    start: index * bytes,
    end: Math.min((index + 1) * bytes, size),
  }));
}

interface FileInParts extends Pick<ManifestFile, 'size' | 'sha256'> {
  readonly parts: NonNullable<ManifestFile['parts']>;
}

function partsOf({ size, parts }: ManifestFile): FileInParts['parts'] | undefined {
  return parts?.sha256.length === Math.ceil(size / (parts?.bytes ?? 1)) ? parts : undefined;
}

/**
 * A file whose parts are known. They are checked as they come, in any order: of a file that is hashed from its beginning, all that is
 * behind the slowest range is left to be hashed at the end.
 */
class PartsArrival {
  readonly #file: FileInParts;
  readonly #follow: () => FollowingHash;
  readonly #areRight: Promise<boolean>[] = [];

  constructor(file: FileInParts, follow: () => FollowingHash) {
    this.#file = file;
    this.#follow = follow;
  }

  /** The bytes from `start` to `end` have been written, next to those before in their range. */
  add(start: number, end: number): void {
    const { size, parts } = this.#file;
    for (let at = start; at < end;) {
      const number = Math.floor(at / parts.bytes);
      const from = number * parts.bytes;
      const partEnd = Math.min(from + parts.bytes, size);
      at = Math.min(partEnd, end);
      this.#follow().upTo(at, from);
      if (at < partEnd) continue;
      const isRight = this.#follow()
        .digest(from)
        .then((found) => found === parts.sha256[number]);
      // Whoever asks for the hash is told.
      isRight.catch(() => undefined);
      this.#areRight.push(isRight);
    }
  }

  /** Where a part differs, that of the whole file. */
  async sha256(): Promise<string> {
    const { size, sha256, parts } = this.#file;
    const areRight = await Promise.all(this.#areRight);
    if (areRight.length === parts.sha256.length && areRight.every(Boolean)) return sha256;
    this.#follow().upTo(size);
    return this.#follow().digest();
  }
}

/** A file that is hashed as far as it has arrived without a gap. */
class WholeArrival {
  readonly #ranges: readonly ByteRange[];
  readonly #follow: () => FollowingHash;
  readonly #arrived: number[];
  #first = 0;
  #end = 0;

  constructor(ranges: readonly ByteRange[], follow: () => FollowingHash) {
    this.#ranges = ranges;
    this.#follow = follow;
    this.#arrived = ranges.map(({ start }) => start);
  }

  /** As that of `PartsArrival`. `index`: of the range. */
  add(_: number, end: number, index: number): void {
    this.#arrived[index] = end;
    const before = this.#end;
    for (; this.#first < this.#ranges.length; this.#first += 1) {
      this.#end = this.#arrived[this.#first] ?? 0;
      if (this.#end < (this.#ranges[this.#first]?.end ?? 0)) break;
    }
    if (this.#end > before) this.#follow().upTo(this.#end);
  }

  sha256(): Promise<string> {
    return this.#follow().digest();
  }
}
