import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import type { AgentPorts } from '../../src/in-process/create-agent.ts';
import type { AgentSettings } from '../../src/in-process/agent-settings.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { AgentEvent } from '../../src/platform/events.ts';
import type { Formats } from '../../src/formats/registry.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import type { FileSystem } from '../../src/platform/file-system.ts';

/** Memory where there is some, so that thousands of fsyncs cost nothing. */
export const fastTmp = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Who has the store open, where that is not the question: a look through all processes takes longer than the rest of a backup. */
const nobody = async (): Promise<[]> => [];

export interface HostOptions {
  readonly remote: Remote;
  readonly clock?: Clock;
  readonly fs?: FileSystem;
  /** Default: those of a release. */
  readonly formats?: Formats;
  readonly settings?: Partial<AgentSettings>;
  /** Default: nobody has the store open, all else is real. */
  readonly ports?: Partial<AgentPorts>;
  /** Use an existing host's disk: the process died, its machine did not. */
  readonly root?: string;
}

/** A machine with a plain directory as its store, and an agent on it. */
export interface Host {
  readonly root: string;
  readonly store: string;
  readonly agent: Agent;
  readonly events: AgentEvent[];
  write(files: Readonly<Record<string, string>>): Promise<void>;
  /** Every file of the store with its text; undefined when there is no store. */
  read(): Promise<Record<string, string> | undefined>;
  /** The disk is lost: store, state and rollback copies. */
  wipe(): Promise<void>;
  remove(): Promise<void>;
}

export async function makeHost(options: HostOptions): Promise<Host> {
  const root = options.root ?? (await mkdtemp(join(fastTmp, 'sync-agent-host-')));
  const store = join(root, 'store');
  const events: AgentEvent[] = [];
  const agent = createAgent(
    { store, remote: 'file:///unused', host: `host-${root.slice(-6)}`, ...options.settings },
    {
      remote: options.remote,
      emit: (event) => events.push(event),
      clock: options.clock ?? systemClock,
      ...(options.fs === undefined ? {} : { fs: options.fs }),
      ...(options.formats === undefined ? {} : { formats: options.formats }),
      findStoreUsers: nobody,
      ...options.ports,
    },
  );
  return {
    root,
    store,
    agent,
    events,
    write: async (files) => {
      for (const [path, text] of Object.entries(files)) {
        await mkdir(dirname(join(store, path)), { recursive: true });
        await writeFile(join(store, path), text);
      }
    },
    read: () => readTree(store),
    wipe: async () => {
      for (const name of await readdir(root)) await rm(join(root, name), { recursive: true });
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

export async function readTree(dir: string): Promise<Record<string, string> | undefined> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return undefined;
  const files: Record<string, string> = {};
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    if (!path.includes('/.sync-agent/')) files[path.slice(dir.length + 1)] = await readFile(path, 'utf8');
  }
  return files;
}

/** A clock that runs as the system's does, but whose time can be set forward. */
export function shiftableClock(): Clock & { forward(ms: number): void } {
  let shift = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + shift,
    forward: (ms) => {
      shift += ms;
    },
  };
}
