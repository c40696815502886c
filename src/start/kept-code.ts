import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { cachedDataVersionTag } from 'node:v8';
import { Script } from 'node:vm';

export interface KeptOptions {
  /** Differs for other bytes of the program. V8 compares no more than their number. */
  readonly id: string;
  /** What this process does with the program, in a word: `restore`. */
  readonly use: string;
  /** The file of the code. */
  readonly place: string;
}

interface Kept {
  /** The uses whose functions are in it. */
  readonly uses: readonly string[];
  readonly code: Buffer;
}

/** A process that runs longer does not keep its code at its end: after a few collections V8 has dropped what began it. */
const shortMs = 1000;
const mostUses = 50;
/** What else a command line begins with may be a secret, and is not written down. */
const plainWord = /^[a-z-]{1,30}$/;
/** Of the first line, which describes the rest. */
const headerBytes = 4096;

/**
 * Loads a CommonJS module, wrapped in its function, with the code that V8 made of it in earlier processes, which takes a third of
 * the time of a short command away. The code lies beside the module: whoever can change it can change the module. It is written by a
 * process whose use is new to it: when that ends well, or after a second. Whatever is wrong with it, or with its place, means that V8
 * compiles once more.
 */
export function loadKept(path: string, { id, use: given, place }: KeptOptions): unknown {
  const use = plainWord.test(given) ? given : 'other';
  const tag = cachedDataVersionTag();
  const key = `${id} ${process.version} ${process.arch} ${tag}`;
  const isOff = process.env['NODE_DISABLE_COMPILE_CACHE'] !== undefined;
  const { script, uses } = compile(path, isOff ? undefined : place, key);
  if (!isOff && !uses.includes(use) && uses.length < mostUses) {
    const keepOnce = (): void => {
      clearTimeout(timer);
      process.removeListener('exit', atExit);
      // Options that were set meanwhile, as for a large store, make code that the next process refuses.
      if (cachedDataVersionTag() === tag)
        keep(place, key, { uses: [...uses, use], code: script.createCachedData() });
    };
    const atExit = (code: number): void => {
      if (code === 0) keepOnce();
    };
    const timer = setTimeout(keepOnce, shortMs).unref();
    process.once('exit', atExit);
  }
  const loaded = { exports: {} };
  const call = script.runInThisContext() as (...args: readonly unknown[]) => void;
  call(loaded.exports, createRequire(path), loaded, path, dirname(path));
  return loaded.exports;
}

/** Nothing holds the bytes of the two files when this returns: they are megabytes. */
function compile(
  path: string,
  place: string | undefined,
  key: string,
): { readonly script: Script; readonly uses: readonly string[] } {
  // For both, one after the other: pages of memory that are new to a process cost it more than the reading does.
  const memory = Buffer.allocUnsafeSlow(Math.max(sizeOf(path), sizeOf(place)));
  const source = readInto(memory, path).toString('latin1');
  const kept = place === undefined ? undefined : readKept(memory, place, key);
  const script = new Script(source, { filename: path, cachedData: kept?.code });
  return { script, uses: script.cachedDataRejected === true ? [] : (kept?.uses ?? []) };
}

function sizeOf(path: string | undefined): number {
  return path === undefined ? 0 : (statSync(path, { throwIfNoEntry: false })?.size ?? 0);
}

/** As much of a file as the memory holds. */
function readInto(memory: Buffer, path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    let length = 0;
    for (let read = -1; read !== 0; length += read)
      read = readSync(file, memory, length, memory.byteLength - length, null);
    return memory.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

function readKept(memory: Buffer, place: string, key: string): Kept | undefined {
  try {
    const bytes = readInto(memory, place);
    const end = bytes.subarray(0, headerBytes).indexOf('\n');
    const header = JSON.parse(bytes.toString('utf8', 0, end)) as Record<'key' | 'sha256', string> & Kept;
    const code = bytes.subarray(end + 1);
    // V8 does not look for damage, and would run it.
    return header.key === key && header.sha256 === sha256(code) ? { uses: header.uses, code } : undefined;
  } catch {
    return undefined;
  }
}

function keep(place: string, key: string, { uses, code }: Kept): void {
  // One name for all: of two that write at once, at worst neither is readable, and the next process writes again.
  const temporary = `${place}.new`;
  const header = Buffer.from(`${JSON.stringify({ key, sha256: sha256(code), uses })}\n`);
  if (header.byteLength > headerBytes) return;
  try {
    writeFileSync(temporary, Buffer.concat([header, code]));
    renameSync(temporary, place);
  } catch {
    // Read-only, full, or another user's: the next process compiles again.
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
