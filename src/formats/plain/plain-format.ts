import type { ContentFormat } from '../content-format.ts';
import { assertStorable, keyOf, plainNumber } from './keys.ts';
import { publishCurrentFiles } from './publish.ts';
import { readFile, verifyFile } from './read.ts';
import { write } from './write.ts';

/**
 * Format 1: each file is an object of the same bytes, so that `aws s3 cp` restores a snapshot. Unchanged files are copied by
 * the server, or, with linked history, stay where an older snapshot has them.
 */
export const plainFormat: ContentFormat = {
  number: plainNumber,
  assertStorable,
  write,
  reliedOn: (content) =>
    content.files.map((file) => ({ key: keyOf(content, file), size: file.size, path: file.path })),
  readFile,
  verifyFile,
  publish: publishCurrentFiles,
};
