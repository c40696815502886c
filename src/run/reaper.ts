import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { messageOf } from '../platform/errors.ts';

export interface ReaperOptions {
  /** Whether orphans come to this process by themselves. */
  readonly isInit?: boolean;
  /** Is told once if this process is PID 1 and nothing can be reaped. */
  readonly warn: (line: string) => void;
}

/**
 * Waits for the processes that the command left behind, so that none remains as a zombie. They come to PID 1 of a
 * container by themselves, elsewhere on Linux because this process asks to be their reaper (`PR_SET_CHILD_SUBREAPER`): a
 * process that was stopped is gone when `run` says so, however slow the system's own init is. To be called before this
 * process starts its first child. The returned function ends it.
 *
 * Node has no call for that, so libc's is called through koffi, an optional dependency. Without it, only PID 1 lacks anything.
 *
 * Children of Node itself are left to libuv, which would never report the exit of one that was taken from it. That none is
 * taken follows from this: `child_process` announces each child on this thread before the thread can come back here; a
 * child leaves the list when Node reports its exit, which is after libuv waited for it, and until somebody did, the kernel
 * gives its pid to nobody else; `spawnSync` keeps this thread to itself until it has waited. Worker threads have
 * lists of their own: they must not start processes, and ours do not.
 */
export async function startReaper({ isInit = process.pid === 1, warn }: ReaperOptions): Promise<() => void> {
  if (!isInit && process.platform !== 'linux') return () => undefined;
  const children = new Set<ChildProcess>();
  let calls: WaitCalls | undefined;
  const reap = (): void => {
    if (calls === undefined) return;
    for (let pid = calls.peek(); pid !== 0; pid = calls.peek()) {
      // Libuv is about to wait for it. What stands behind it has its turn when Node reports the exit.
      if ([...children].some((child) => child.pid === pid)) return;
      calls.wait(pid);
    }
  };
  const onChild = (message: unknown): void => {
    const { process: child } = message as { readonly process: ChildProcess };
    children.add(child);
    // A child that could not be started closes without an exit.
    for (const event of ['exit', 'close']) {
      child.once(event, () => {
        if (children.delete(child)) reap();
      });
    }
  };
  subscribe('child_process', onChild);

  try {
    calls = await loadWaitCalls();
    if (!isInit) calls.adoptOrphans();
  } catch (error) {
    unsubscribe('child_process', onChild);
    if (!isInit) return () => undefined;
    warn(
      `Processes that the command leaves behind will remain as zombies: ${messageOf(error)}. Give the container an init: docker run --init, or "init: true" in a compose file`,
    );
    return () => undefined;
  }
  // Libuv's own handling of SIGCHLD goes on beside a listener.
  process.on('SIGCHLD', reap);
  reap();
  return () => {
    // From here on the list is not complete.
    calls = undefined;
    process.removeListener('SIGCHLD', reap);
    unsubscribe('child_process', onChild);
  };
}

interface WaitCalls {
  /** The pid of a child that has ended, which stays as it is; 0 if there is none. */
  peek(): number;
  /** Lets an ended child go. */
  wait(pid: number): void;
  /** Makes orphans below this process its children. */
  adoptOrphans(): void;
}

async function loadWaitCalls(): Promise<WaitCalls> {
  if (process.platform !== 'linux') throw new Error(`not implemented on ${process.platform}`);
  const { default: koffi } = await import('koffi');
  const libc = koffi.load(null);
  const waitid = libc.func('int waitid(int idtype, uint32_t id, _Out_ int *info, int options)');
  const waitpid = libc.func('int waitpid(int pid, void *status, int options)');
  const prctl = libc.func(
    'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
  );
  const info = new Int32Array(32);
  // siginfo_t: three ints, then a union that is aligned like a pointer and begins with the pid.
  const pidIndex = koffi.sizeof('void *') === 8 ? 4 : 3;
  return {
    peek: () => {
      const failed = waitid(everyChild, 0, info, exited | noHang | leaveIt) as number;
      return failed === 0 ? (info[pidIndex] ?? 0) : 0;
    },
    wait: (pid) => void waitpid(pid, null, noHang),
    adoptOrphans: () => void prctl(setChildSubreaper, 1, 0, 0, 0),
  };
}

/** P_ALL, WEXITED, WNOHANG and WNOWAIT of wait(2), the same on every Linux. */
const everyChild = 0;
const exited = 4;
const noHang = 1;
const leaveIt = 0x01000000;
/** PR_SET_CHILD_SUBREAPER of prctl(2). */
const setChildSubreaper = 36;
