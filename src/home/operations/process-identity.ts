import { readFileSync } from 'node:fs';

/**
 * Tells a process from every other one that had, or will have, its pid on this host: the boot, and when it was started, in
 * ticks since then (proc(5), field 22 of `stat`). Undefined where the system does not say, or if there is no such process, or
 * only the zombie of one.
 */
export function processIdentity(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses, and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state = 'X'] = fields;
    return state === 'Z' || state === 'X' ? undefined : `${boot}-${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** Whether there is a process of this pid that a signal would reach. */
export function isPidAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
