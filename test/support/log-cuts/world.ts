import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { StoredObject } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { fastTmp, shiftableClock } from '../host.ts';
import { copyDisk } from './camera.ts';
import { History, LogHost } from './log-host.ts';
import type { LogHostOptions } from './log-host.ts';

/** One machine, a remote, and what the users of the store were told. */
export interface World {
  /** The machine's disk. */
  readonly root: string;
  readonly objects: Map<string, StoredObject>;
  readonly history: History;
  readonly clock: ReturnType<typeof shiftableClock>;
}

export const newDisk = (): string => mkdtempSync(join(fastTmp, 'sync-agent-cut-'));

export const newWorld = (): World => ({
  root: newDisk(),
  objects: new Map(),
  history: new History(),
  clock: shiftableClock(),
});

export const copyWorld = async (world: World): Promise<World> => ({
  ...world,
  root: await copyDisk(world.root),
  objects: new Map(world.objects),
  history: world.history.copy(),
});

/** Another machine beside the same remote. */
export const elsewhere = (world: World): World => ({ ...world, root: newDisk() });

/** As `copyWorld`, but the machine's disk is lost. */
export const onBareMachine = (world: World): World => ({
  ...world,
  root: newDisk(),
  objects: new Map(world.objects),
  history: world.history.copy(),
});

export const removeDisk = ({ root }: Pick<World, 'root'>): void =>
  rmSync(root, { recursive: true, force: true });

export const remoteOf = ({ objects, clock }: World): Remote =>
  createMemoryRemote({ now: clock.now, objects });

/** A process on the machine. */
export const hostIn = (world: World, options: Partial<LogHostOptions> = {}): LogHost =>
  new LogHost({ ...world, remote: remoteOf(world), ...options });
