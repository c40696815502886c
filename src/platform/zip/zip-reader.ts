import type * as ZipJs from '@zip.js/zip.js';
import { messageOf, throwIfAborted } from '../errors.ts';
import { openForRead } from '../quick/readable-file.ts';
import type { ReadableFile } from '../quick/readable-file.ts';
import { loadZip } from './zip-writer.ts';

/** A ZIP file that is open to be read here and there. */
export interface ZipFile {
  readonly comment: string;
  /** In the order of the file's own directory. */
  readonly entries: readonly ZipEntry[];
  /** Bytes of the file. */
  readonly size: number;
  close(): Promise<void>;
}

export interface ZipEntry {
  /** As it is written in the file: nobody has judged it. A directory's ends with a slash. */
  readonly name: string;
  readonly isDirectory: boolean;
  readonly isEncrypted: boolean;
  /** Neither a regular file nor a directory. */
  readonly isOdd: boolean;
  /** As the file says. */
  readonly size: number;
  readonly compressedSize: number;
  /**
   * Hands out the bytes, and checks its checksum at the end. `take` may throw to end it, and its error comes out. BadZip if the entry
   * cannot be read.
   */
  read(take: (chunk: Uint8Array) => Promise<void>, options?: ReadOptions): Promise<void>;
}

export interface ReadOptions {
  readonly password?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is wrong with the file: `message` is a sentence without a final period. */
export class BadZip extends Error {
  override readonly name = 'BadZip';
  readonly reason: 'damaged' | 'password';

  constructor(reason: BadZip['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Opens a file, and reads its directory of entries. BadZip if it is no ZIP file, or an ambiguous one. */
export async function openZip(path: string): Promise<ZipFile> {
  const file = await openForRead(path);
  try {
    const library = await loadZip();
    const { ZipReader, Reader } = library;
    const { size } = await file.stat();
    const input = readerOf(Reader, file, Number(size));
    const zip = new ZipReader(input, {
      useWebWorkers: false,
      strictness: 'strict',
      checkOverlappingEntry: true,
    });
    const found = await zip.getEntries().catch((error: unknown) => {
      throw new BadZip('damaged', `it is no sound ZIP file: ${messageOf(error)}`, { cause: error });
    });
    return {
      comment: new TextDecoder().decode(zip.comment),
      entries: found.map((entry) => entryOf(library, entry)),
      size: Number(size),
      close: async () => {
        await zip.close();
        await file.close();
      },
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

const [fileType, directoryType] = [0o100000, 0o40000];

function entryOf({ ERR_ENCRYPTED, ERR_INVALID_PASSWORD }: typeof ZipJs, entry: ZipJs.Entry): ZipEntry {
  const type = (entry.unixExternalUpper ?? 0) & 0o170000;
  return {
    name: entry.filename,
    isDirectory: entry.directory,
    isEncrypted: entry.encrypted,
    isOdd: type !== 0 && type !== (entry.directory ? directoryType : fileType),
    size: entry.uncompressedSize,
    compressedSize: entry.compressedSize,
    read: async (take, { password, signal } = {}) => {
      if (entry.directory) return;
      let failure: Error | undefined;
      const output = new WritableStream<Uint8Array>({
        write: async (chunk) => {
          try {
            await take(chunk);
          } catch (error) {
            failure ??= error instanceof Error ? error : new Error(messageOf(error));
            throw error;
          }
        },
      });
      try {
        await entry.getData(output, {
          useWebWorkers: false,
          checkSignature: true,
          ...(password === undefined ? {} : { password }),
          ...(signal === undefined ? {} : { signal }),
        });
      } catch (error) {
        if (failure !== undefined) throw failure;
        throwIfAborted(signal, 'Reading the archive');
        const isAboutPassword = [ERR_ENCRYPTED, ERR_INVALID_PASSWORD].includes(messageOf(error));
        throw new BadZip(isAboutPassword ? 'password' : 'damaged', messageOf(error), { cause: error });
      }
    },
  };
}

function readerOf(Reader: typeof ZipJs.Reader, file: ReadableFile, size: number): ZipJs.Reader<unknown> {
  return new (class extends Reader<unknown> {
    override size = size;

    constructor() {
      super(undefined);
    }

    override async readUint8Array(start: number, length: number): Promise<Uint8Array> {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - start)));
      let done = 0;
      while (done < bytes.byteLength) {
        const count = await file.read(bytes.subarray(done), start + done);
        if (count === 0) break;
        done += count;
      }
      return bytes.subarray(0, done);
    }
  })();
}
