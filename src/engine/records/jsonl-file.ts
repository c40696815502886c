import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, join, basename } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { SyncAgentError, fromFileSystem, interrupted, messageOf } from '../../platform/errors.ts';

/** Lines are handed on in pieces of this size. */
const pieceLength = 256 * 1024;
/** A line is a record; nothing that Chroma takes is longer. */
const maxLineBytes = 256 * 2 ** 20;

export const isGzipped = (path: string): boolean => path.endsWith('.gz');

/**
 * Writes lines to a file that appears under its name when it is whole and on the disk. A crash before leaves a file whose name begins
 * with a dot and ends in `.partial`; an error leaves nothing.
 */
export async function writeLines(
  path: string,
  lines: AsyncIterable<string> | Iterable<string>,
  signal?: AbortSignal,
): Promise<void> {
  const partial = join(dirname(path), `.${basename(path)}.partial`);
  try {
    const file = createWriteStream(partial, { flush: true });
    const source = Readable.from(inPieces(lines), { objectMode: true });
    const options = signal === undefined ? {} : { signal };
    if (isGzipped(path)) await pipeline(source, createGzip({ level: 6 }), file, options);
    else await pipeline(source, file, options);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    if (signal?.aborted === true) throw interrupted(`Writing "${path}"`, signal.reason);
    throw error instanceof SyncAgentError ? error : fromFileSystem(error, `Cannot write "${path}"`);
  }
}

async function* inPieces(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string> {
  let piece = '';
  for await (const line of lines) {
    piece += `${line}\n`;
    if (piece.length < pieceLength) continue;
    yield piece;
    piece = '';
  }
  if (piece !== '') yield piece;
}

export interface NumberedLine {
  /** From 1. */
  readonly number: number;
  readonly text: string;
}

/**
 * The lines of a file, or of the stream that is given instead, empty ones left out. Only a newline ends a line: texts may hold other
 * separators. Some editors put a mark before the first, which is left out. USAGE for a file that was cut off while it was compressed.
 */
export async function* readLines(path: string, given?: Readable): AsyncGenerator<NumberedLine> {
  const file: Readable = given ?? createReadStream(path, { highWaterMark: pieceLength });
  const stream = isGzipped(path) ? file.pipe(createGunzip()) : file;
  // A pipe does not hand errors on.
  file.once('error', (error) => stream.destroy(error));
  let rest: Buffer[] = [];
  let restLength = 0;
  let number = 0;
  try {
    for await (const chunk of stream) {
      let from = 0;
      const bytes = chunk as Buffer;
      for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, from)) {
        const line = Buffer.concat([...rest, bytes.subarray(from, end)]);
        [rest, restLength, from] = [[], 0, end + 1];
        number += 1;
        if (!isBlank(line)) yield { number, text: textOf(line, number) };
      }
      rest.push(bytes.subarray(from));
      restLength += bytes.length - from;
      if (restLength > maxLineBytes)
        throw new SyncAgentError('USAGE', `Cannot read "${path}": line ${number + 1} is too long`);
    }
  } catch (error) {
    if (error instanceof SyncAgentError) throw error;
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))
      throw new SyncAgentError(
        'USAGE',
        `Cannot read "${path}" after line ${number}: it is no whole gzip file (${messageOf(error)})`,
        { cause: error },
      );
    throw fromFileSystem(error, `Cannot read "${path}"`);
  } finally {
    file.destroy();
    stream.destroy();
  }
  const last = Buffer.concat(rest);
  if (!isBlank(last)) yield { number: number + 1, text: textOf(last, number + 1) };
}

function textOf(line: Buffer, number: number): string {
  const text = line.toString();
  return number === 1 && text.startsWith('\uFEFF') ? text.slice(1) : text;
}

const isBlank = (line: Buffer): boolean =>
  line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);
