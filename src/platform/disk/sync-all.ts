import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { release } from 'node:os';
import { promisify } from 'node:util';

/**
 * File systems of which `syncfs` writes all and reports what could not be written, by `statfs`: ext2 to 4, XFS, Btrfs, F2FS, and
 * tmpfs, which has nothing to write. Not overlayfs, whose upper layer keeps its errors to itself; not FUSE, which does not pass the
 * call on.
 */
const reliable: readonly number[] = [0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x01021994];

/** Not as PATH has it: under npm, any package may have a program of this name. */
const program = '/bin/sync';

const run = promisify(execFile);

/** As `FileSystem.syncAll`. Node has no `syncfs`, so the system's own `sync` makes the call. */
export async function syncAll(path: string): Promise<boolean> {
  if (process.platform !== 'linux' || !reportsErrors(release())) return false;
  try {
    if (!reliable.includes((await statfs(path)).type) || !(await knowsFiles())) return false;
    await run(program, ['-f', path]);
    return true;
  } catch {
    // Whoever syncs each file instead finds out what is wrong.
    return false;
  }
}

let known: Promise<boolean> | undefined;

/** Small builds of BusyBox take no notice of arguments, and call `sync`, which tells of no error. This one then finds no fault, either. */
function knowsFiles(): Promise<boolean> {
  known ??= run(program, ['-f', '/proc/self/there is no such file']).then(
    () => false,
    (error: unknown) => typeof (error as { code?: unknown }).code === 'number',
  );
  return known;
}

/** Since Linux 5.8, `syncfs` fails if something could not be written (man 2 syncfs). gVisor says 4.4. */
export function reportsErrors(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  return major > 5 || (major === 5 && minor >= 8);
}
