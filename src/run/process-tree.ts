import { readFileSync } from 'node:fs';
import { readProcessTable } from './process-table.ts';
import type { ProcessEntry } from './process-table.ts';

/** Every process below a supervised command finds this in its environment, unless somebody emptied that. */
export const runIdVariable = 'SYNC_AGENT_RUN_ID';

/** The processes that one command started, directly or not, without the command itself. */
export interface ProcessTree {
  /** Those that live now. Whoever was seen once stays known, also after its parent has ended. */
  living(): readonly { readonly pid: number }[];
  /** Sends a signal to each of them; one that has ended, or may not be signalled, is passed over. */
  signal(name: NodeJS.Signals, to?: readonly { readonly pid: number }[]): void;
  /** Counts a process as one of the command's if it can only come from there: see `isStray`. */
  adopt(pids: readonly number[]): void;
}

export interface TreeOptions {
  /** The command's process. */
  readonly pid: number;
  /** What the command's environment holds in `runIdVariable`. */
  readonly runId: string;
  readonly readTable?: () => readonly ProcessEntry[];
}

/**
 * Finds processes by three marks, since each can be lost: their parent (lost when it ends before we look), the
 * environment that they inherited (Linux; lost by `env -i`), and for those that have the store open, `adopt`.
 */
export function processTree({ pid: root, runId, readTable = readProcessTable }: TreeOptions): ProcessTree {
  const known = new Set<string>();
  const strangers = new Set<string>();
  const first = readTable();
  const startOf = (pid: number): string | undefined => first.find((each) => each.pid === pid)?.startedAt;
  const [rootStart, ownStart] = [startOf(root), startOf(process.pid)];

  const isMarked = (entry: ProcessEntry): boolean => {
    const key = keyOf(entry);
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
      if (isRoot || known.has(keyOf(entry)) || isMarked(entry)) members.add(entry.pid);
    }
    // Children of children: as often as somebody new is found. Pids are not in the order of descent.
    for (let found = -1; found !== members.size;) {
      found = members.size;
      for (const { pid, ppid } of table) if (members.has(ppid)) members.add(pid);
    }
    const others = table.filter(({ pid }) => members.has(pid) && pid !== root);
    for (const entry of others) known.add(keyOf(entry));
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
        if (pids.includes(entry.pid) && isStray(entry, ownStart)) known.add(keyOf(entry));
      }
    },
  };
}

const keyOf = ({ pid, startedAt }: ProcessEntry): string => `${pid} ${startedAt}`;

/** A process that forked while we looked still has its parent's environment; one that ended has none. */
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
 * Whether an orphan comes from here: it started after we did, the init process or we adopted it, and it is in
 * our control group. A service manager's other services are in groups of their own.
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
