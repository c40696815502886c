import type { Clock } from '../platform/clock.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { writeFileAtomic } from '../platform/file-system.ts';
import { agentStatusPath } from '../home/home.ts';
import type { Home } from '../home/home.ts';
import { readFile } from 'node:fs/promises';
import { isAgentRunning } from '../home/lock.ts';
import type { DaemonStatus, StatusFile } from '../api/daemon-status.ts';
import { isLogOverdue } from './continuous/log-status.ts';
import { isOverdue } from './schedule/schedule.ts';

export interface StatusFileWriter {
  /** The status has changed. It is written soon, once for many changes. */
  changed(): void;
  /** What an earlier agent wrote does not hold any more: its lease may be another host's. */
  forget(): Promise<void>;
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
    const { recentEvents: _, history: __, lastBackupPhases: ___, ...file } = status();
    // A full or missing disk makes the backups fail, which tells it.
    await writeFileAtomic(fs, agentStatusPath(home), JSON.stringify(file)).catch(() => undefined);
  };
  return {
    changed: () => {
      if (isPending) return;
      isPending = true;
      written = written.then(() => clock.sleep(delayMs)).then(write);
    },
    forget: () => fs.remove(agentStatusPath(home)),
    close: async () => {
      await written;
      await write();
    },
  };
}

/**
 * The last status of the agent that runs beside the store; undefined if none runs, or if it has not written its status
 * yet.
 */
export async function readRunningAgent(
  home: Home,
  { now }: Pick<Clock, 'now'>,
): Promise<StatusFile | undefined> {
  if (!(await isAgentRunning(home))) return undefined;
  try {
    const status = JSON.parse(await readFile(agentStatusPath(home), 'utf8')) as StatusFile;
    // The file is that of an earlier agent, or of another version.
    if (typeof status.pid !== 'number' || status.state === 'stopped') return undefined;
    // An agent that hangs, or was suspended, cannot write that its backup is late.
    return { ...status, isOverdue: isOverdue(status, now()) || isLogOverdue(status, now()) };
  } catch {
    return undefined;
  }
}
