import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

export interface ProcessEntry {
  readonly pid: number;
  readonly ppid: number;
  /** When it started, in the system's own form. It tells processes apart that had the same pid. */
  readonly startedAt: string;
}

/** All living processes that this user can see, without zombies. Empty if the system does not list them. */
export function readProcessTable(): readonly ProcessEntry[] {
  return process.platform === 'linux' ? tableOfProc() : tableOfPs();
}

function tableOfProc(): readonly ProcessEntry[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name) => {
      try {
        return entryOfStat(readFileSync(`/proc/${name}/stat`, 'utf8'));
      } catch {
        // The process ended in the meantime.
        return [];
      }
    });
}

/** proc_pid_stat(5): pid (name) state ppid …. The name may contain blanks and parentheses. Field 22 is the start time. */
function entryOfStat(stat: string): readonly ProcessEntry[] {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', ppid = ''] = fields;
  if (state === 'Z' || state === 'X') return [];
  return [{ pid: Number.parseInt(stat, 10), ppid: Number(ppid), startedAt: fields[19] ?? '' }];
}

function tableOfPs(): readonly ProcessEntry[] {
  try {
    const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,lstart='], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return table.split('\n').flatMap((line) => {
      const [, pid, ppid, state = '', startedAt = ''] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
      if (pid === undefined || state.startsWith('Z')) return [];
      return [{ pid: Number(pid), ppid: Number(ppid), startedAt }];
    });
  } catch {
    return [];
  }
}
