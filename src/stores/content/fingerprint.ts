import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { emptyDirectoriesOf } from './scan.ts';
import type { FileEntry, ScanResult, Version } from './scan.ts';
import { kinds } from '../find-kind.ts';

/**
 * A digest of every file's path, identity, size and times. Equal digests of one store at two moments mean that
 * nothing was written in between, as far as the file system tells.
 */
export function fingerprint(scan: ScanResult): string {
  const modes = scan.directories.map(({ mode }) => mode).join(' ');
  const files = digest(scan, (file) => {
    // Merely opening a database in WAL mode sets its log's owner, and so its ctime.
    const ctimeNs = file.path.endsWith('-wal') ? '' : file.ctimeNs;
    return [file.dev, file.ino, file.size, file.mode, file.mtimeNs, ctimeNs];
  });
  return createHash('sha256').update(`${files} ${modes}`).digest('hex');
}

/** As `fingerprint`, but survives a rename, which changes a file's ctime. */
export function placementFingerprint(scan: ScanResult): string {
  return digest(scan, (file) => [file.dev, file.ino, file.size, file.mtimeNs]);
}

/**
 * Timestamps move in ticks of up to 10 ms. A file written within the tick of our look may be written again without
 * a trace; its fingerprint proves nothing.
 */
export const tickMs = 25;
const tickNs = BigInt(tickMs) * 1_000_000n;

export function isSettled(files: readonly FileEntry[], nowMs: number): boolean {
  return unsettledFiles(files, nowMs).length === 0;
}

export function unsettledFiles(files: readonly FileEntry[], nowMs: number): readonly FileEntry[] {
  return files.filter((file) => !isTransient(file) && isFresh(file, nowMs));
}

/** Whether it changed within the last tick. A time in the future is no present change's: the clock was set back, or the file came from a host that is ahead. */
export function isFresh({ mtimeNs, ctimeNs }: Version, nowMs: number): boolean {
  const now = BigInt(Math.floor(nowMs)) * 1_000_000n;
  const isPresent = (time: bigint): boolean => time >= now - tickNs && time <= now + tickNs;
  return isPresent(mtimeNs) || isPresent(ctimeNs);
}

/** Readers make and touch SQLite's shared-memory file and an empty log, which hold nothing that lasts. */
export function isTransient({ path, size }: Pick<FileEntry, 'path' | 'size'>): boolean {
  return path.endsWith('-shm') || (path.endsWith('-wal') && size === 0);
}

function digest(scan: ScanResult, fields: (file: FileEntry) => readonly unknown[]): string {
  const hash = createHash('sha256');
  for (const file of scan.files) {
    if (!isTransient(file)) hash.update(`${JSON.stringify(file.path)} ${fields(file).join(' ')}\n`);
  }
  for (const path of emptyDirectoriesOf(scan)) hash.update(`${JSON.stringify(path)}/\n`);
  for (const { path } of scan.oddities) hash.update(`${JSON.stringify(path)}?\n`);
  return hash.digest('hex');
}

const mainFiles = kinds.flatMap(({ mainFile }) => (mainFile === undefined ? [] : [mainFile]));

/**
 * Names the incarnation of a store: another value means that somebody deleted and made it anew, so that what we
 * recorded about it says nothing of its present content.
 */
export async function storeIdentity(store: string): Promise<string> {
  const parts = [store, ...mainFiles.map((name) => join(store, name))].map(async (path) => {
    const stats = await stat(path, { bigint: true }).catch(() => undefined);
    return stats === undefined ? '-' : `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`;
  });
  return (await Promise.all(parts)).join(' ');
}
