import { execFile } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** `-a` keeps the files' times; `-r` gives them those of the copy, in the order of copying. */
export type CopyMode = '-a' | '-r';

export async function copyStore(from: string, to: string, mode: CopyMode = '-a'): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await run('cp', [mode, '--no-target-directory', from, to]);
}

/**
 * Makes the files of `store` equal to those of `model` the way Chroma's server changes them: in place, writing only
 * the pages that differ, an index's pickle last.
 */
export async function changeInPlace(store: string, model: string): Promise<void> {
  const paths = await filesOf(model);
  const isLast = (path: string): number => (path.endsWith('.pickle') ? 1 : 0);
  for (const path of paths.toSorted((a, b) => isLast(a) - isLast(b))) {
    await mkdir(dirname(join(store, path)), { recursive: true });
    const from = openSync(join(model, path), 'r');
    const to = openSync(join(store, path), 'a+');
    closeSync(to);
    const writer = openSync(join(store, path), 'r+');
    try {
      writeDifferences(from, writer);
    } finally {
      closeSync(from);
      closeSync(writer);
    }
  }
}

export async function bytesOf(dir: string): Promise<number> {
  let sum = 0;
  for (const path of await filesOf(dir)) sum += (await stat(join(dir, path))).size;
  return sum;
}

async function filesOf(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .toSorted();
}

function writeDifferences(from: number, to: number): void {
  const size = 64 * 1024;
  const fresh = Buffer.alloc(size);
  const old = Buffer.alloc(size);
  let position = 0;
  for (;;) {
    const read = readSync(from, fresh, 0, size, position);
    if (read === 0) break;
    const had = readSync(to, old, 0, size, position);
    if (had !== read || fresh.compare(old, 0, had, 0, read) !== 0) writeSync(to, fresh, 0, read, position);
    position += read;
  }
  ftruncateSync(to, position);
}
