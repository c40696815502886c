import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { messageOf } from '../platform/errors.ts';

export interface ReaperOptions {
  /** Whether the kernel gives orphans to this process anyway. */
  readonly isInit?: boolean;
  /** Called once if this process is PID 1 and cannot reap. */
  readonly warn: (line: string) => void;
}

/**
 * Waits for orphans, the processes that the command left behind, so that none of them stays as a zombie. If this process is
 * PID 1 of a container, the kernel makes orphans its children. Elsewhere on Linux this process asks for them
 * (`PR_SET_CHILD_SUBREAPER`): an orphan is then gone when `run` says so, even if the system's init is slow or waits for nobody.
 * Call this before the first child is started. The returned function ends it.
 *
 * koffi, an optional dependency, calls waitid(2), waitpid(2) and prctl(2) of libc, because Node cannot wait for a process that it
 * did not start. Without koffi, zombies stay until the container ends if this process is PID 1; elsewhere the system's init waits
 * for them, and an orphan with an empty environment is not found if its new parent is another subreaper, such as `systemd --user`.
 *
 * The reaper must not take Node's own children: libuv would never report their exit. It takes none, because:
 * - `child_process` announces each child on this thread before the thread can come back here.
 * - A child leaves the list when Node reports its exit. By then libuv has waited for it. Until then the kernel gives its pid
 *   to no other process.
 * - `spawnSync` blocks this thread until it has waited.
 * - Worker threads have lists of their own, so they must not start processes. Ours do not.
 */
export async function startReaper({ isInit = process.pid === 1, warn }: ReaperOptions): Promise<() => void> {
  if (!isInit && process.platform !== 'linux') return () => undefined;
  const children = new Set<ChildProcess>();
  let calls: WaitCalls | undefined;
  const reap = (): void => {
    if (calls === undefined) return;
    for (let pid = calls.peek(); pid !== 0; pid = calls.peek()) {
      // Libuv is about to wait for this one. The orphans behind it are reaped when Node reports its exit.
      if ([...children].some((child) => child.pid === pid)) return;
      calls.wait(pid);
    }
  };
  const onChild = (message: unknown): void => {
    const { process: child } = message as { readonly process: ChildProcess };
    children.add(child);
    // A child that could not be started emits 'close' without 'exit'.
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
      `Processes that the command leaves behind will stay as zombies: ${messageOf(error)}. Start the container with an init: docker run --init, or "init: true" in a compose file`,
    );
    return () => undefined;
  }
  // Libuv handles SIGCHLD as before: a listener does not replace it.
  process.on('SIGCHLD', reap);
  reap();
  return () => {
    // From now on the list of children is incomplete.
    calls = undefined;
    process.removeListener('SIGCHLD', reap);
    unsubscribe('child_process', onChild);
  };
}

interface WaitCalls {
  /** The pid of a child that has ended; 0 if there is none. Does not reap it. */
  peek(): number;
  /** Reaps a child that has ended. */
  wait(pid: number): void;
  /** Makes this process the new parent of all orphans below it. */
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
  // siginfo_t: three ints, then a union that is aligned as a pointer and begins with the pid.
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
