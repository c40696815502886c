import { readFile, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';

export interface LockHolder {
  readonly pid: number;
  /** The program's name, without arguments: they may hold secrets. */
  readonly program: string;
}

/**
 * The other processes that hold a lock on a database which keeps writers out, by proc_locks(5). Empty where the system does not
 * tell, and when the holder is in another container or on another host.
 */
export async function findLockHolders(database: string): Promise<readonly LockHolder[]> {
  const inodes = new Set<string>();
  // In WAL mode the writer's lock is on the shared memory.
  for (const path of [database, `${database}-shm`]) {
    const found = await stat(path, { bigint: true }).catch(() => undefined);
    if (found !== undefined) inodes.add(String(found.ino));
  }
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '');
  const pids = new Set<number>();
  for (const line of locks.split('\n')) {
    // 1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 1073741825 1073741825; the device may be another than stat's (overlayfs, btrfs).
    const [, pid, inode] = /^\d+: \S+ +\S+ +WRITE +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /.exec(line) ?? [];
    if (pid !== undefined && inode !== undefined && inodes.has(inode)) pids.add(Number(pid));
  }
  pids.delete(process.pid);
  pids.delete(0);
  return Promise.all([...pids].map(async (pid) => ({ pid, program: await programOf(pid) })));
}

async function programOf(pid: number): Promise<string> {
  const executable = await readlink(`/proc/${pid}/exe`).catch(() => undefined);
  if (executable !== undefined) return basename(executable);
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  return name.trim() || 'unknown program';
}
