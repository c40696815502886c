import { closeSync, fstatSync, openSync } from 'node:fs';
import { concurrently } from '../../../platform/concurrently.ts';
import type { FileSystem } from '../../../platform/file-system.ts';
import { entryOf } from '../../content/scan.ts';
import type { FileEntry } from '../../content/scan.ts';
import { readRange } from './compare-chunks.ts';
import type { Range } from './compare-chunks.ts';
import type { Comparer } from './comparer.ts';

/** Most calls are quick, and made one after the other. Where they are not, they wait together. */
const writesAtOnce = 8;

/**
 * A copy of a database that is made while its source changes, and corrected later. `catchUp` reads both sides and only what differs is
 * written, afterwards: that keeps the time short for which writers are held back. A write may have to wait for the file system's journal.
 *
 * Keeps the source open until `close`: see the danger in `raiseFence`. No other descriptor stays open, since a store may have
 * hundreds of databases.
 */
export interface DeltaCopy {
  /** The file that is read, as it is now. */
  look(): FileEntry;
  /** Copies all of it. Not under the fence: this opens the source again, and closes it. */
  copyAll(): Promise<void>;
  /**
   * Reads what differs, provided nobody writes the source meanwhile. The copy equals it as soon as `finish` is done. Blocks the event
   * loop.
   */
  catchUp(): Promise<void>;
  finish(): Promise<void>;
  close(): void;
}

/** For what is read under the fence and written after it. */
export interface LaterMemory {
  /** What does not fit is written at once. */
  leftBytes: number;
}

export interface DeltaCopyOptions {
  readonly fs: FileSystem;
  readonly comparer: Comparer;
  /** Of all copies together. */
  readonly memory: LaterMemory;
  /** Of the source, relative to the store. */
  readonly path: string;
}

export function openDeltaCopy(
  source: string,
  target: string,
  { fs, comparer, memory, path }: DeltaCopyOptions,
): DeltaCopy {
  const from = openSync(source, 'r');
  let later: { readonly correction: Correction; readonly bytes: number } | undefined;
  const forget = (): void => {
    memory.leftBytes += later?.bytes ?? 0;
    later = undefined;
  };
  const finish = async (): Promise<void> => {
    if (later !== undefined) await write(fs, target, later.correction);
    forget();
  };
  return {
    look: () => entryOf(path, fstatSync(from, { bigint: true })),
    copyAll: () => fs.copy(source, target),
    catchUp: async () => {
      await finish();
      const { size } = fstatSync(from);
      const { present, stale } = await compare(comparer, { from, target, size });
      if (stale.length === 0 && present === size) return;
      const pages = readPages(from, stale);
      const bytes = bytesOf(stale);
      if (bytes > memory.leftBytes) {
        await write(fs, target, { size, present, pages });
        return;
      }
      later = { correction: { size, present, pages: [...pages] }, bytes };
      memory.leftBytes -= bytes;
    },
    finish,
    close: () => {
      forget();
      closeSync(from);
    },
  };
}

interface Sides {
  readonly from: number;
  readonly target: string;
  readonly size: number;
}

/** What is wrong with the copy: its length if it is not `size`, and where bytes differ. */
interface Difference {
  readonly present: number;
  readonly stale: readonly Range[];
}

async function compare(comparer: Comparer, { from, target, size }: Sides): Promise<Difference> {
  const to = openSync(target, 'r');
  try {
    return {
      present: fstatSync(to).size,
      stale: await comparer.differingRanges({ from, to, size }),
    };
  } finally {
    closeSync(to);
  }
}

/** What makes the copy equal. */
interface Correction extends Pick<Difference, 'present'> {
  readonly size: number;
  readonly pages: Iterable<Page>;
}

interface Page {
  readonly start: number;
  readonly bytes: Buffer;
}

const bytesOf = (ranges: readonly Range[]): number =>
  ranges.reduce((sum, { start, end }) => sum + end - start, 0);

function* readPages(from: number, ranges: readonly Range[]): Generator<Page> {
  for (const range of ranges) {
    const buffer = Buffer.allocUnsafe(range.end - range.start);
    yield { start: range.start, bytes: buffer.subarray(0, readRange(from, buffer, range)) };
  }
}

async function write(fs: FileSystem, target: string, { size, present, pages }: Correction): Promise<void> {
  const writer = await fs.openForWrite(target);
  try {
    if (present > size) await writer.truncate(size);
    await concurrently(pages, { concurrency: writesAtOnce }, ({ bytes, start }) =>
      writer.write(bytes, start),
    );
  } finally {
    await writer.close();
  }
}
