import { rm } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { SyncAgentError, isSyncAgentError } from '../../src/platform/errors.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { AgentEvent } from '../../src/platform/events.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import type { FileSystem } from '../../src/platform/file-system.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { makeHost } from './host.ts';
import type { Host } from './host.ts';
import { passThrough } from './race.ts';

/** What goes wrong on a machine. */
export interface Fate {
  readonly random: () => number;
  /** Share of the requests that fail, half of them after they were done. */
  faults: number;
  /** The machine dies at this effect: a change of the remote or of its disk, before or after it. */
  dieAt: number;
}

/** A machine with a store and the process that follows its log. It can die at any effect. */
export interface LogMachine {
  readonly host: Host;
  readonly isDead: () => boolean;
  /** How many there were. */
  readonly effects: () => number;
  kill(): void;
  /** Whether the log has asked for a snapshot. */
  readonly isDue: () => boolean;
  backup(): Promise<string | undefined>;
  /** Resolves to whether all that was written before is saved. */
  flush(): Promise<boolean>;
  /** Ends the following: whether all is saved. */
  stop(): Promise<boolean>;
}

const pace = 10;
/** Waits are shorter. */
export const hurriedClock: Clock = {
  ...systemClock,
  monotonic: () => performance.now() * pace,
  sleep: (ms, options) => systemClock.sleep(ms / pace, options),
};

const dead = (): never => {
  throw new Error('the machine is dead');
};

/** `root`: of a machine that died and has its disk. `epoch`: of its lease. */
export async function makeLogMachine(
  remote: Remote,
  fate: Fate,
  { root, epoch }: { readonly root?: string; readonly epoch?: number } = {},
): Promise<LogMachine & { start(): void }> {
  let effects = 0;
  let isDead = false;
  const gate = async <T>(work: () => Promise<T>): Promise<T> => {
    if (isDead) dead();
    effects += 1;
    if (effects !== fate.dieAt) return work();
    isDead = true;
    if (fate.random() < 0.5) await work().catch(() => undefined);
    return dead();
  };
  const request = <T>(work: () => Promise<T>): Promise<T> =>
    gate(async () => {
      const isHit = fate.random() < fate.faults;
      if (isHit && fate.random() < 0.5) throw lost();
      const result = await work();
      if (isHit) throw lost();
      return result;
    });
  const alive = <T>(work: () => T): T => (isDead ? dead() : work());
  const seen: Remote = {
    ...passThrough(remote),
    put: (...args) => request(() => remote.put(...args)),
    remove: (...args) => request(() => remote.remove(...args)),
    copy: (...args) => request(() => remote.copy(...args)),
    get: async (...args) => alive(() => remote.get(...args)),
    head: async (...args) => alive(() => remote.head(...args)),
    list: (...args) => alive(() => remote.list(...args)),
    listDirectories: async (...args) => alive(() => remote.listDirectories(...args)),
  };
  const fs: FileSystem = {
    ...nodeFileSystem,
    rename: (...args) => gate(() => nodeFileSystem.rename(...args)),
    link: (...args) => gate(() => nodeFileSystem.link(...args)),
    remove: (...args) => gate(() => nodeFileSystem.remove(...args)),
    openForWrite: (...args) => gate(() => nodeFileSystem.openForWrite(...args)),
  };
  let isDue = false;
  const host = await makeHost({
    remote: seen,
    fs,
    clock: hurriedClock,
    settings: { keepLast: 3 },
    ...(root === undefined ? {} : { root }),
    ports: {
      emit: (event: AgentEvent) => {
        host?.events.push(event);
        if (event.type === 'log-broken') isDue = true;
        if (event.type === 'log-following') isDue = false;
      },
    },
  });
  let stopping = new AbortController();
  let following: Promise<{ readonly isSaved: boolean }> | undefined;
  const rank = epoch === undefined ? {} : { epoch };
  const answered = async <T>(work: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (isDead || isSyncAgentError(error)) return otherwise;
      throw error;
    }
  };
  return {
    host,
    isDead: () => isDead,
    effects: () => effects,
    kill: () => {
      isDead = true;
    },
    isDue: () => isDue,
    start: () => {
      stopping = new AbortController();
      following = host.agent.followLog({ intervalMs: 300, epoch, signal: stopping.signal });
      following.catch(() => undefined);
    },
    backup: () =>
      answered(async () => {
        const made = await host.agent.backup({ evenUnchanged: true, ...rank });
        return made.type === 'committed' ? made.id : undefined;
      }, undefined),
    flush: () =>
      answered(async () => (await host.agent.flush({ timeoutMs: 20_000 })).type === 'flushed', false),
    stop: async () => {
      stopping.abort(new SyncAgentError('INTERRUPTED', 'stop', { untilMs: hurriedClock.monotonic() + 5000 }));
      return answered(async () => (await following)?.isSaved === true, false);
    },
  };
}

const lost = (): SyncAgentError =>
  new SyncAgentError('REMOTE_UNREACHABLE', 'the connection was lost', { retryable: true });

/** The disk is gone. */
export const wipe = (root: string): Promise<void> => rm(root, { recursive: true, force: true });
