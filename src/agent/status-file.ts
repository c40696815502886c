import type { Clock } from '../platform/clock.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { writeFileAtomic } from '../platform/file-system.ts';
import { agentStatusPath } from '../home/home.ts';
import type { Home } from '../home/home.ts';
import { readFile } from 'node:fs/promises';
import { isAgentRunning } from '../home/lock.ts';
import type { DaemonStatus, StatusFile } from '../api/daemon-status.ts';
import { isOverdue } from './schedule/schedule.ts';

export interface StatusFileWriter {
  /** The status is another. Written soon, and once for many changes. */
  changed(): void;
  /** Resolves when the last change is written. */
  close(): Promise<void>;
}

const delayMs = 250;

export function statusFileWriter(
  fs: FileSystem,
  home: Home,
  { clock, status }: { readonly clock: Clock; readonly status: () => DaemonStatus },
): StatusFileWriter {
  let isPending = false;
  let written: Promise<void> = Promise.resolve();
  const write = async (): Promise<void> => {
    isPending = false;
    const { recentEvents: _, history: __, ...file } = status();
    // A disk that is full, or gone, is told by what the agent is there for.
    await writeFileAtomic(fs, agentStatusPath(home), JSON.stringify(file)).catch(() => undefined);
  };
  return {
    changed: () => {
      if (isPending) return;
      isPending = true;
      written = written.then(() => clock.sleep(delayMs)).then(write);
    },
    close: async () => {
      await written;
      await write();
    },
  };
}

/**
 * The agent that runs beside the store, as it last described itself; undefined when none does. Undefined, too, of one that
 * has not written its status yet.
 */
export async function readRunningAgent(
  home: Home,
  { now }: Pick<Clock, 'now'>,
): Promise<StatusFile | undefined> {
  if (!(await isAgentRunning(home))) return undefined;
  try {
    const status = JSON.parse(await readFile(agentStatusPath(home), 'utf8')) as StatusFile;
    // A file of an earlier agent, or of another version: nothing is better than nonsense.
    if (typeof status.pid !== 'number' || status.state === 'stopped') return undefined;
    // An agent that hangs, or was stopped, does not write that it has become late.
    return { ...status, isOverdue: isOverdue(status, now()) };
  } catch {
    return undefined;
  }
}
