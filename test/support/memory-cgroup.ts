import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A control group with a limit of memory, made for a test. */
export interface MemoryCgroup {
  /** Moves a process into it. */
  add(pid: number): void;
  /** All of its processes must have ended. */
  remove(): void;
}

/**
 * Makes one below that of this process, of version 1 or 2, whichever accounts memory here. Undefined where that is not allowed: in a
 * container without privileges, or for another user than root.
 */
export function makeMemoryCgroup(limitBytes: number): MemoryCgroup | undefined {
  for (const { dir, limit } of places()) {
    const group = join(dir, `sync-agent-test-${process.pid}`);
    try {
      mkdirSync(group);
      try {
        writeFileSync(join(group, limit), String(limitBytes));
      } catch (error) {
        rmdirSync(group);
        throw error;
      }
      return {
        add: (pid) => writeFileSync(join(group, 'cgroup.procs'), String(pid)),
        remove: () => rmdirSync(group),
      };
    } catch {
      continue;
    }
  }
  return undefined;
}

interface Place {
  readonly dir: string;
  readonly limit: string;
}

/** Of version 2 a group that has processes gives no controller to its children, so it is made beside this one. */
function places(): readonly Place[] {
  try {
    return readFileSync('/proc/self/cgroup', 'utf8')
      .split('\n')
      .flatMap((line): readonly Place[] => {
        const [, controllers, path = '/'] = line.split(':');
        if (controllers === 'memory')
          return [{ dir: join('/sys/fs/cgroup/memory', path), limit: 'memory.limit_in_bytes' }];
        return line.startsWith('0::')
          ? [{ dir: join('/sys/fs/cgroup', dirname(path)), limit: 'memory.max' }]
          : [];
      });
  } catch {
    return [];
  }
}
