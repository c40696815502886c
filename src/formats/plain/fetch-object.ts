import { createHash } from 'node:crypto';
import type { WritableFile } from '../../platform/file-system.ts';
import type { FormatContext } from '../content-format.ts';
import { fetchLarge, rangeBytes } from './fetch-large.ts';
import { fetchRange } from './fetch-range.ts';
import type { SavedRead } from './fetch-range.ts';

/** Writes an object to a new file; resolves to the SHA-256 of its bytes. */
export async function fetchFile(context: FormatContext, read: SavedRead): Promise<string> {
  const target = await context.fs.openForWrite(read.to, { exclusive: true });
  try {
    return read.file.size <= rangeBytes
      ? await fetchSmall(context, read, target)
      : await fetchLarge(context, read, target);
  } finally {
    await target.close();
  }
}

async function fetchSmall(context: FormatContext, read: SavedRead, target: WritableFile): Promise<string> {
  const hash = createHash('sha256');
  await fetchRange(context, read, undefined, async (chunk, position) => {
    hash.update(chunk);
    await target.write(chunk, position);
  });
  return hash.digest('hex');
}
