import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf } from '../platform/errors.ts';

/** Windows has no process groups, so only the shell itself can be ended there. */
export const hasProcessGroups = process.platform !== 'win32';

/** How long processes have to end after SIGTERM. */
const graceMs = 2000;

/**
 * Ends a process group: SIGTERM first, then SIGKILL to what is left, after two seconds or at `killAtMs`, monotonic, if that
 * comes first.
 */
export async function endProcessGroup(child: ChildProcess, killAtMs: () => number): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  if (!hasProcessGroups) {
    child.kill();
    return;
  }
  signalGroup(pid, 'SIGTERM');
  // The members are not our children, so no event tells when they end.
  const endsMs = performance.now() + graceMs;
  for (; performance.now() < Math.min(endsMs, killAtMs()); await delay(10)) {
    if (!signalGroup(pid, 0)) return;
  }
  signalGroup(pid, 'SIGKILL');
}

/** False if the group is empty. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch (error) {
    // EPERM: a process is there that we may not signal.
    return errnoOf(error) === 'EPERM';
  }
}
