import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { cachedDataVersionTag } from 'node:v8';
import { Script } from 'node:vm';

export interface KeptOptions {
  /** Differs for other bytes of the program. V8 compares no more than their number. */
  readonly id: string;
  /** What this process does with the program, in a word: `restore`. */
  readonly use: string;
}

interface Kept {
  /** The uses whose functions are in it. */
  readonly uses: readonly string[];
  readonly code: Buffer;
}

/** A process that runs longer has nothing to gain, and V8 has dropped part of its code. */
const mostSeconds = 60;
const mostUses = 50;
/** What else a command line begins with may be a secret, and is not written down. */
const plainWord = /^[a-z-]{1,30}$/;
/** Of the first line, which describes the rest. */
const headerBytes = 4096;

/**
 * Loads a CommonJS module, wrapped in its function, with the code that V8 made of it in earlier processes, which takes a third of
 * the time of a short command away. The code lies beside the module: whoever can change it can change the module. It is written when
 * a process ends well whose use is new to it. Whatever is wrong with it, or with its place, means that V8 compiles once more.
 */
export function loadKept(path: string, { id, use: given }: KeptOptions): unknown {
  const use = plainWord.test(given) ? given : 'other';
  const place = `${path}.kept`;
  const tag = cachedDataVersionTag();
  const key = `${id} ${process.version} ${process.arch} ${tag}`;
  const isOff = process.env['NODE_DISABLE_COMPILE_CACHE'] !== undefined;
  const { script, uses } = compile(path, isOff ? undefined : readKept(place, key));
  if (!isOff && !uses.includes(use) && uses.length < mostUses) {
    process.once('exit', (code) => {
      // Options that were set meanwhile, as for a large store, make code that the next process refuses.
      if (code !== 0 || process.uptime() > mostSeconds || cachedDataVersionTag() !== tag) return;
      keep(place, key, { uses: [...uses, use], code: script.createCachedData() });
    });
  }
  const loaded = { exports: {} };
  const call = script.runInThisContext() as (...args: readonly unknown[]) => void;
  call(loaded.exports, createRequire(path), loaded, path, dirname(path));
  return loaded.exports;
}

/** Nothing holds the bytes of `kept` when this returns: they are megabytes. */
function compile(
  path: string,
  kept: Kept | undefined,
): { readonly script: Script; readonly uses: readonly string[] } {
  const script = new Script(readFileSync(path, 'latin1'), { filename: path, cachedData: kept?.code });
  return { script, uses: script.cachedDataRejected === true ? [] : (kept?.uses ?? []) };
}

function readKept(place: string, key: string): Kept | undefined {
  try {
    const bytes = readFileSync(place);
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
