import type { Home } from '../home/home.ts';
import { lockAgent } from '../home/lock.ts';
import type { Lock } from '../home/lock.ts';
import type { FileSystem } from '../platform/file-system.ts';
import type { StatusFileWriter } from './status-file.ts';

/** Makes this the store's one agent: it holds a kernel lock, and only the holder writes the status file. */
export interface Claim {
  /** A second call does nothing. BUSY, naming the other agent. */
  take(): Promise<void>;
  statusChanged(): void;
  /** Writes the last status, and lets another agent have the store. */
  release(): Promise<void>;
}

export interface ClaimOptions {
  readonly fs: FileSystem;
  readonly home: Home;
  readonly command: string;
  readonly statusFile: StatusFileWriter;
}

export function createClaim({ fs, home, command, statusFile }: ClaimOptions): Claim {
  let taking: Promise<Lock> | undefined;
  let isTaken = false;
  const statusChanged = (): void => {
    if (isTaken) statusFile.changed();
  };
  return {
    take: async () => {
      taking ??= lockAgent(fs, home, { command });
      try {
        await taking;
      } catch (error) {
        taking = undefined;
        throw error;
      }
      await statusFile.forget();
      isTaken = true;
      statusChanged();
    },
    statusChanged,
    release: async () => {
      const lock = await taking?.catch(() => undefined);
      if (isTaken) await statusFile.close();
      isTaken = false;
      lock?.release();
    },
  };
}
