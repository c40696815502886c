import { execFile } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { readFile, readdir, readlink } from 'node:fs/promises';
import { sep } from 'node:path';
import { promisify } from 'node:util';
import { makeBreather } from '../../platform/breathe.ts';
import { isExcluded, noExclusions } from '../content/exclusions.ts';
import type { Exclusions } from '../content/exclusions.ts';
import { homeInsideStore } from '../content/scan.ts';

export interface StoreUser {
  readonly pid: number;
  /** Command line, or the program's name if that cannot be read. */
  readonly command: string;
  /** The program's file; undefined if the system does not tell. */
  readonly executable: string | undefined;
  /** Whether it has a file of the store open for writing; true if the system does not tell. */
  readonly mayWrite: boolean;
}

/** For messages. */
export const usersText = (users: readonly Pick<StoreUser, 'pid' | 'command'>[]): string =>
  users.map(({ pid, command }) => `pid ${pid} (${command.slice(0, 120)})`).join(', ');

/**
 * The other processes that have a file below `store` open, as far as this user may see. On Linux by `/proc`, else by
 * `lsof`; processes of other containers and other hosts stay invisible. Files that are excluded do not count. Asked in turns that
 * block, the system tells in a tenth of the time.
 */
export async function findStoreUsers(
  store: string,
  exclude: Exclusions = noExclusions,
): Promise<readonly StoreUser[]> {
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^[0-9]+$/.test(name));
  if (processes.length === 0) return usersByLsof(store, exclude);
  const users: StoreUser[] = [];
  const breathe = makeBreather();
  for (const pid of processes.map(Number)) {
    await breathe();
    if (pid === process.pid) continue;
    const opened = openedBelow(pid, store, exclude);
    if (opened.length > 0) users.push(await describe(pid, await isWritable(pid, opened)));
  }
  return users;
}

/** The numbers of a process's descriptors of files below `store`. None if the process is gone, or another user's. Blocks. */
function openedBelow(pid: number, store: string, exclude: Exclusions): readonly string[] {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).filter((descriptor) => {
      const path = linkOf(`${directory}/${descriptor}`).replace(/ \(deleted\)$/, '');
      return isContent(path, store, exclude);
    });
  } catch {
    return [];
  }
}

/** Empty if the descriptor was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** proc_pid_fdinfo(5): the line `flags:` has the flags of open(2) in octal; its lowest two bits are 0 for reading only. */
async function isWritable(pid: number, descriptors: readonly string[]): Promise<boolean> {
  for (const descriptor of descriptors) {
    const info = await readFile(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8').catch(() => '');
    const flags = /^flags:\s*([0-7]+)/m.exec(info)?.[1];
    if (flags === undefined || (Number.parseInt(flags, 8) & 3) !== 0) return true;
  }
  return false;
}

async function describe(pid: number, mayWrite: boolean): Promise<StoreUser> {
  const [line, executable] = await Promise.all([
    readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
    readlink(`/proc/${pid}/exe`).catch(() => undefined),
  ]);
  const command = line.replaceAll('\0', ' ').trim() || (executable ?? 'unknown program');
  return { pid, command, executable, mayWrite };
}

async function usersByLsof(store: string, exclude: Exclusions): Promise<readonly StoreUser[]> {
  const found = await promisify(execFile)('lsof', ['-Fpcn', '+D', store]).catch((error: unknown) =>
    // lsof exits with 1 when nothing is open, and may still have printed what it found.
    error instanceof Error && 'stdout' in error ? { stdout: String(error.stdout) } : { stdout: '' },
  );
  const users = new Map<number, StoreUser>();
  let [pid, command] = [0, ''];
  for (const line of found.stdout.split('\n')) {
    const value = line.slice(1);
    if (line.startsWith('p')) pid = Number(value);
    if (line.startsWith('c')) command = value;
    if (line.startsWith('n') && pid !== process.pid && isContent(value, store, exclude))
      users.set(pid, { pid, command, executable: undefined, mayWrite: true });
  }
  return [...users.values()];
}

function isContent(path: string, store: string, exclude: Exclusions): boolean {
  const relative = path.startsWith(store + sep) ? path.slice(store.length + 1) : '';
  // The server of a drill works in the agent's own directory, which may be inside the store.
  if (relative === '' || relative.startsWith(homeInsideStore + sep)) return false;
  return !isExcluded(exclude, relative, false);
}
