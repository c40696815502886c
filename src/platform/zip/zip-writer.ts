import type * as ZipJs from '@zip.js/zip.js';
import type { FileSystem, WritableFile } from '../file-system.ts';

/** Writes a ZIP file, one entry after the other. ZIP64 where sizes or numbers need it. Memory is bounded. */
export interface ZipFileWriter {
  /** Adds a file. A chunk of `bytes` is copied before the next one is asked for. */
  addFile(name: string, bytes: AsyncIterable<Uint8Array>, attributes: FileAttributes): Promise<void>;
  addDirectory(name: string, mode: number): Promise<void>;
  /** Writes the directory of entries and the comment, and syncs the file. Resolves to the bytes of the file. */
  finish(comment: string): Promise<number>;
  /** Closes the file as it is. Needed after a failure; does nothing after `finish`. */
  abandon(): Promise<void>;
}

export interface FileAttributes {
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  readonly mtimeMs: number;
}

export interface ZipWriterOptions {
  /** Encrypts every file with AES-256. Names, sizes and the comment stay readable. */
  readonly password?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** As `zip` does by default: a smaller one is faster by half and makes files larger by a seventh. */
const level = 6;

/** What the time of an entry can be. */
const [earliestMs, latestMs] = [Date.UTC(1980, 0, 2), Date.UTC(2107, 0, 1)];

/** EEXIST if `path` exists. */
export async function createZip(
  fs: FileSystem,
  path: string,
  { password, signal }: ZipWriterOptions,
): Promise<ZipFileWriter> {
  const { ZipWriter } = await loadZip();
  const output = new Output(await fs.openForWrite(path, { exclusive: true }));
  const options: ZipJs.ZipWriterConstructorOptions = {
    level,
    useWebWorkers: false,
    bufferedWrite: false,
    keepOrder: true,
    ...(password === undefined ? {} : { password, encryptionStrength: 3 as const }),
    ...(signal === undefined ? {} : { signal }),
  };
  const zip = new ZipWriter(output.stream, options);
  return {
    addFile: (name, bytes, { size, mode, mtimeMs }) =>
      output.guard(() =>
        zip.add(name, streamOf(bytes), {
          uncompressedSize: size,
          unixMode: 0o100000 | mode,
          lastModDate: new Date(Math.min(Math.max(mtimeMs, earliestMs), latestMs)),
        }),
      ),
    addDirectory: (name, mode) =>
      output.guard(() => zip.add(`${name}/`, undefined, { directory: true, unixMode: 0o40000 | mode })),
    finish: async (comment) => {
      await output.guard(() => zip.close(new TextEncoder().encode(comment)));
      await output.sync();
      await output.close();
      return output.bytes;
    },
    abandon: () => output.close(),
  };
}

export function loadZip(): Promise<typeof ZipJs> {
  return import('@zip.js/zip.js');
}

/** The file below the writer. Its own error is the one that comes out: a library may wrap it, or report a later one. */
class Output {
  readonly stream: WritableStream<Uint8Array>;
  readonly #file: WritableFile;
  #bytes = 0;
  #failure: unknown;
  #isClosed = false;

  constructor(file: WritableFile) {
    this.#file = file;
    this.stream = new WritableStream({ write: (chunk) => this.#write(chunk) });
  }

  get bytes(): number {
    return this.#bytes;
  }

  async guard(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw this.#failure ?? error;
    }
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#file.close();
  }

  async #write(chunk: Uint8Array): Promise<void> {
    try {
      await this.#file.write(chunk, this.#bytes);
      this.#bytes += chunk.byteLength;
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }
}

/** One chunk at a time, each a copy. */
function streamOf(bytes: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const chunks = bytes[Symbol.asyncIterator]();
  return new ReadableStream(
    {
      pull: async (controller) => {
        const next: IteratorResult<Uint8Array, unknown> = await chunks.next();
        if (next.done === true) controller.close();
        else controller.enqueue(Uint8Array.from(next.value));
      },
      cancel: async () => {
        await chunks.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
