import pLimit from 'p-limit';
import type { LimitFunction } from 'p-limit';
import { concurrently } from '../../platform/concurrently.ts';
import { throwIfAborted } from '../../platform/errors.ts';
import type { WritableFile } from '../../platform/file-system.ts';
import type { ByteRange, Remote } from '../../remotes/remote.ts';
import type { FormatContext } from '../content-format.ts';
import { fetchRange } from './fetch-range.ts';
import type { SavedRead } from './fetch-range.ts';
import { followFile } from './hash-thread.ts';

/** Larger files come in ranges of this size, several at a time. */
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
  const ranges = rangesOf(read.file.size);
  const arrival = new Arrival(ranges);
  const hash = followFile(read.to);
  try {
    await concurrently(ranges, { concurrency: Infinity, signal: asked }, async (range, signal, index) => {
      await shared.turns(async () => {
        throwIfAborted(signal, 'Restore');
        await fetchRange({ ...context, signal }, read, range, async (chunk, position) => {
          await target.write(chunk, position);
          if (arrival.add(index, chunk.byteLength)) hash.upTo(arrival.end);
        });
      });
      await flushUnlessBusy(shared, target);
    });
    const sha256 = await hash.digest();
    throwIfAborted(asked, 'Restore');
    return sha256;
  } finally {
    hash.close();
  }
}

async function flushUnlessBusy(shared: Shared, target: WritableFile): Promise<void> {
  if (shared.isFlushing) return;
  shared.isFlushing = true;
  await target.sync().finally(() => (shared.isFlushing = false));
}

function rangesOf(size: number): readonly ByteRange[] {
  return Array.from({ length: Math.ceil(size / rangeBytes) }, (_, index) => ({
    start: index * rangeBytes,
    end: Math.min((index + 1) * rangeBytes, size),
  }));
}

/** How far a file has arrived without a gap. */
class Arrival {
  end = 0;
  readonly #ranges: readonly ByteRange[];
  readonly #arrived: number[];
  #first = 0;

  constructor(ranges: readonly ByteRange[]) {
    this.#ranges = ranges;
    this.#arrived = ranges.map(({ start }) => start);
  }

  /** The next bytes of a range have been written. Whether `end` has moved. */
  add(index: number, bytes: number): boolean {
    this.#arrived[index] = (this.#arrived[index] ?? 0) + bytes;
    const before = this.end;
    for (; this.#first < this.#ranges.length; this.#first += 1) {
      this.end = this.#arrived[this.#first] ?? 0;
      if (this.end < (this.#ranges[this.#first]?.end ?? 0)) break;
    }
    return this.end > before;
  }
}
