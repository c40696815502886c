import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SyncAgentError, errnoOf } from '../../platform/errors.ts';
import type { FileSystem } from '../../platform/file-system.ts';
import type { Home } from '../home.ts';

/** The directory of the operation log. */
export const operationsRoot = (home: Home): string => join(home.dir, 'operations');

/** A segment that has reached this many bytes is followed by another one. */
const segmentBytes = 512 * 1024;
/** Segments that stay, with the newest. */
const keptSegments = 4;
/** So often the newest segment may be removed under our hands. */
const maxTries = 5;

/**
 * Adds a line to the log. Does nothing if the agent has no directory here yet.
 *
 * The log is a row of numbered files. Nobody renames one: who finds the newest one full creates the next number, which only one
 * process can, and removes the oldest. So several processes write at once without a lock, and none loses a line.
 */
export async function appendToLog(fs: FileSystem, home: Home, line: string): Promise<void> {
  if (!(await isThere(home.dir))) return;
  for (let tries = 1; ; tries += 1) {
    const path = await newestSegment(fs, home);
    try {
      await fs.appendLine(path, line);
      return await fs.sync(path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || tries >= maxTries) throw error;
    }
  }
}

/** The lines of the log, oldest first, at most the last `bytes` bytes. The first one may be cut. */
export async function readLogLines(home: Home, bytes = Infinity): Promise<readonly string[]> {
  const texts: string[] = [];
  let left = Math.min(bytes, keptSegments * 2 * segmentBytes);
  for (const number of (await segmentNumbers(home)).toReversed()) {
    if (left <= 0) break;
    const text = await readTail(segmentPath(home, number), left);
    left -= text.length;
    texts.unshift(...text.split('\n').filter((line) => line !== ''));
  }
  return texts;
}

async function newestSegment(fs: FileSystem, home: Home): Promise<string> {
  const root = operationsRoot(home);
  if (!(await isThere(root))) await fs.makeDirectory(root);
  const numbers = await segmentNumbers(home);
  const newest = numbers.at(-1) ?? 0;
  if (newest > 0 && (await sizeOf(segmentPath(home, newest))) < segmentBytes)
    return segmentPath(home, newest);
  const path = segmentPath(home, newest + 1);
  try {
    await (await fs.openForWrite(path, { exclusive: true })).close();
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  for (const number of numbers.slice(0, 1 - keptSegments)) await fs.remove(segmentPath(home, number));
  await fs.sync(root);
  return path;
}

/** REFUSED if a link is there: in a store that is a mount point the application itself could have made it. */
async function isThere(directory: string): Promise<boolean> {
  const stats = await lstat(directory).catch(() => undefined);
  if (stats === undefined || stats.isDirectory()) return stats !== undefined;
  throw new SyncAgentError('REFUSED', `Cannot write to "${directory}": it is not a real directory`);
}

const segmentPath = (home: Home, number: number): string =>
  join(operationsRoot(home), `${String(number).padStart(6, '0')}.jsonl`);

async function segmentNumbers(home: Home): Promise<readonly number[]> {
  const names = await readdir(operationsRoot(home)).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names
    .flatMap((name) => (/^\d{6,15}\.jsonl$/.test(name) ? [Number.parseInt(name, 10)] : []))
    .toSorted((a, b) => a - b);
}

/** 0 for one that is gone. */
const sizeOf = async (path: string): Promise<number> => (await lstat(path).catch(() => ({ size: 0 }))).size;

/** Empty for one that is gone. */
async function readTail(path: string, bytes: number): Promise<string> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - bytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
