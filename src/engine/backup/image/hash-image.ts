import { join } from 'node:path';
import { concurrently } from '../../../platform/concurrently.ts';
import { totalBytes } from '../../../log/manifest.ts';
import type { Manifest } from '../../../log/manifest.ts';
import type { UploadFile } from '../../../formats/content-format.ts';
import { inPhase } from '../../context.ts';
import type { Context } from '../../context.ts';
import { hashFile } from '../../hash-file.ts';
import type { StoreImage } from './capture-store.ts';
import { stagingFailure } from './staging-failure.ts';

/** Files hashed at once. */
const concurrency = 4;

/**
 * The files of an image with the SHA-256 of those that a snapshot may hold already. A file is certainly new if neither `newest`
 * nor `parent` has one of its size: then it is hashed while it is uploaded, and read once. `all`: hash each.
 */
export async function hashImage(
  context: Context,
  image: StoreImage,
  {
    newest,
    parent,
    all = false,
  }: {
    readonly newest: Manifest | undefined;
    readonly parent?: Manifest | undefined;
    readonly all?: boolean;
  },
): Promise<readonly UploadFile[]> {
  const held = [...(newest?.files ?? []), ...(parent?.files ?? [])];
  const sizes = new Set(held.map(({ size }) => size));
  const isKnown = ({ size }: UploadFile): boolean => all || sizes.has(size);
  const known = image.files.filter(isKnown);
  if (known.length === 0) return image.files;
  return inPhase(context, 'hash', async (moved) => {
    const hashes = await concurrently(known, { concurrency, signal: context.signal }, (file, signal) =>
      hashFile(join(image.dir, file.path), file.size, signal),
    ).catch(async (error: unknown) => {
      throw await stagingFailure(context, error);
    });
    moved(totalBytes(known));
    const byPath = new Map(known.map(({ path }, index) => [path, hashes[index]]));
    return image.files.map((file) => {
      const sha256 = byPath.get(file.path);
      return sha256 === undefined ? file : { ...file, sha256 };
    });
  });
}
