import { readFileSync } from 'node:fs';
import { readProcessTable } from './process-table.ts';
import type { ProcessEntry } from './process-table.ts';

/** Every process below a supervised command has this variable in its environment, unless it was started with an empty one. */
export const runIdVariable = 'SYNC_AGENT_RUN_ID';

/** The processes that a command started, directly or indirectly. The command itself is not one of them. */
export interface ProcessTree {
  /** Those that live now. A process that was seen once stays known, even after its parent has ended. */
  living(): readonly { readonly pid: number }[];
  /** Sends a signal to each of them. Skips those that have ended or that this user may not signal. */
  signal(name: NodeJS.Signals, to?: readonly { readonly pid: number }[]): void;
  /** Adds those of these processes that can only come from the command: see `isStray`. */
  adopt(pids: readonly number[]): void;
}

export interface TreeOptions {
  /** The command's process. */
  readonly pid: number;
  /** The value of `runIdVariable` in the command's environment. */
  readonly runId: string;
  readonly readTable?: () => readonly ProcessEntry[];
}

/**
 * Finds the processes in three ways, because each can fail: by their parent (fails if it ends before we look), by the
 * environment that they inherited (Linux only; fails after `env -i`), and by `adopt` if they have the store open.
 */
export function processTree({ pid: root, runId, readTable = readProcessTable }: TreeOptions): ProcessTree {
  const known = new Set<string>();
  const strangers = new Set<string>();
  const first = readTable();
  const startOf = (pid: number): string | undefined => first.find((each) => each.pid === pid)?.startedAt;
  const [rootStart, ownStart] = [startOf(root), startOf(process.pid)];

  const isMarked = (entry: ProcessEntry): boolean => {
    const key = identityOf(entry);
    if (strangers.has(key)) return false;
    if (environmentHas(entry.pid, runId)) return true;
    strangers.add(key);
    return false;
  };
  const living = (): readonly ProcessEntry[] => {
    const table = readTable().filter(({ pid }) => pid !== process.pid);
    const members = new Set<number>();
    for (const entry of table) {
      const isRoot = entry.pid === root && entry.startedAt === rootStart;
      if (isRoot || known.has(identityOf(entry)) || isMarked(entry)) members.add(entry.pid);
    }
    // Children of children, until no new one is found. The order of pids does not follow descent.
    for (let found = -1; found !== members.size;) {
      found = members.size;
      for (const { pid, ppid } of table) if (members.has(ppid)) members.add(pid);
    }
    const others = table.filter(({ pid }) => members.has(pid) && pid !== root);
    for (const entry of others) known.add(identityOf(entry));
    return others;
  };
  return {
    living,
    signal: (name, to = living()) => {
      for (const { pid } of to) {
        try {
          process.kill(pid, name);
        } catch {
          // It has ended, or belongs to another user.
        }
      }
    },
    adopt: (pids) => {
      for (const entry of readTable()) {
        if (pids.includes(entry.pid) && isStray(entry, ownStart)) known.add(identityOf(entry));
      }
    },
  };
}

const identityOf = ({ pid, startedAt }: ProcessEntry): string => `${pid} ${startedAt}`;

/** A process that was forked just now still has its parent's environment. One that has ended has none. */
function environmentHas(pid: number, runId: string): boolean {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
    return variables.some(
      (line) =>
        line.startsWith(`${runIdVariable}=`) &&
        line
          .slice(line.indexOf('=') + 1)
          .split(':')
          .includes(runId),
    );
  } catch {
    return false;
  }
}

/**
 * Whether an orphan comes from our command: it started after we did, its parent is now init or this process, and it is in
 * our control group. A service manager puts other services into control groups of their own.
 */
function isStray({ pid, ppid, startedAt }: ProcessEntry, ownStart: string | undefined): boolean {
  if (ppid !== 1 && ppid !== process.pid) return false;
  if (ownStart === undefined || Number(startedAt) < Number(ownStart)) return false;
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8') === readFileSync('/proc/self/cgroup', 'utf8');
  } catch {
    return false;
  }
}
