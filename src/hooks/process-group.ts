import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf } from '../platform/errors.ts';

/** Windows has no process groups: there only the shell itself can be ended. */
export const hasProcessGroups = process.platform !== 'win32';

/** How long processes have to end by themselves after SIGTERM. */
const graceMs = 2000;

/**
 * Ends a process that leads a group, and everything in that group: SIGTERM first, SIGKILL to what is then left, or at
 * `killAtMs` if that comes sooner, monotonic.
 */
export async function endProcessGroup(child: ChildProcess, killAtMs: () => number): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  if (!hasProcessGroups) {
    child.kill();
    return;
  }
  signalGroup(pid, 'SIGTERM');
  // The members are not our children, so that nobody tells when they end.
  const endsMs = performance.now() + graceMs;
  for (; performance.now() < Math.min(endsMs, killAtMs()); await delay(10)) {
    if (!signalGroup(pid, 0)) return;
  }
  signalGroup(pid, 'SIGKILL');
}

/** False when nobody is left in the group. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch (error) {
    // EPERM: somebody is there who may not be signalled by us.
    return errnoOf(error) === 'EPERM';
  }
}
