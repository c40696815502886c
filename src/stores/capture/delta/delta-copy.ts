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
 * A copy of a database that is made while its source changes, and corrected later. `catchUp` reads both sides and writes only
 * what differs, which keeps the time short for which writers are held back.
 *
 * Keeps the source open until `close`: see the danger in `raiseFence`. No other descriptor stays open, since a store may have
 * hundreds of databases.
 */
export interface DeltaCopy {
  /** The file that is read, as it is now. */
  look(): FileEntry;
  /** Copies all of it. Not under the fence: this opens the source again, and closes it. */
  copyAll(): Promise<void>;
  /** Makes the copy equal to the source, provided nobody writes the source meanwhile. Blocks the event loop. */
  catchUp(): Promise<void>;
  close(): void;
}

export interface DeltaCopyOptions {
  readonly fs: FileSystem;
  readonly comparer: Comparer;
  /** Of the source, relative to the store. */
  readonly path: string;
}

export function openDeltaCopy(
  source: string,
  target: string,
  { fs, comparer, path }: DeltaCopyOptions,
): DeltaCopy {
  const from = openSync(source, 'r');
  return {
    look: () => entryOf(path, fstatSync(from, { bigint: true })),
    copyAll: () => fs.copy(source, target),
    catchUp: async () => {
      const { size } = fstatSync(from);
      const { present, stale } = await compare(comparer, { from, target, size });
      if (stale.length > 0 || present !== size) await write(fs, { from, target, size, present, stale });
    },
    close: () => closeSync(from),
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

async function write(
  fs: FileSystem,
  { from, target, size, present, stale }: Sides & Difference,
): Promise<void> {
  const writer = await fs.openForWrite(target);
  try {
    if (present > size) await writer.truncate(size);
    await concurrently(stale, { concurrency: writesAtOnce }, async (range) => {
      const buffer = Buffer.allocUnsafe(range.end - range.start);
      const read = readRange(from, buffer, range);
      await writer.write(buffer.subarray(0, read), range.start);
    });
  } finally {
    await writer.close();
  }
}
