import { randomUUID } from 'node:crypto';
import type { Clock } from '../platform/clock.ts';
import type { Emit, Phase } from '../platform/events.ts';
import type { Formats } from '../formats/registry.ts';
import type { Remote } from '../remotes/remote.ts';
import type { RetentionPolicy } from '../log/retention.ts';
import type { DiskSpace } from '../platform/disk-space.ts';
import type { FileSystem } from '../platform/file-system.ts';
import type { Home } from '../home/home.ts';
import type { PhaseTimes } from '../platform/phase-times.ts';
import type { StoreUser } from '../stores/capture/in-use.ts';
import type { StoreAdapter } from '../stores/adapter.ts';

/** What a start does with a damaged store: `recover` keeps it as a rollback copy and restores the newest snapshot. */
export type OnDamage = 'fail' | 'recover';

/** Everything that an operation works with. These are live objects; `settings` is plain data. */
export interface Context {
  readonly remote: Remote;
  /** The remote's name in the local state: location and endpoint. */
  readonly remoteId: string;
  /** The formats that snapshots may have, and that of new ones. */
  readonly formats: Formats;
  readonly home: Home;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Where the time of this operation goes. */
  readonly phases: PhaseTimes;
  readonly settings: EngineSettings;
  /** Finds out what kind of store a directory is. */
  readonly detectAdapter: (dir: string) => Promise<StoreAdapter>;
  readonly adapterNamed: (name: StoreAdapter['name']) => StoreAdapter;
  /** Free and total space of the file system that holds a path, or would hold it. */
  readonly diskSpace: (path: string) => Promise<DiskSpace>;
  /** The other processes that have a file of the store open. */
  readonly findStoreUsers: (store: string) => Promise<readonly StoreUser[]>;
  /** Awaited before the first thing is done: the operation log tells that it begins. */
  readonly onWork?: (() => Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Includes what of the history stays. Other hosts may rely on deleted data for `graceMs`, so a backup gives up after half of it. */
export interface EngineSettings extends RetentionPolicy {
  readonly captureTimeoutMs: number;
  /** `copy`: every history directory is complete. `linked`: unchanged files stay where an older snapshot has them. */
  readonly history: 'copy' | 'linked';
  readonly validation: 'quick' | 'full';
  /** A store that lost more than this share of its bytes or records is not committed. */
  readonly maxShrink: number;
  /** How many times the usual size or duration a backup is told for; 0: never. */
  readonly warnGrowth: number;
  /** What a restore does with a damaged store that it would leave alone. */
  readonly onDamage: OnDamage;
  /** How long a restore waits for the log; undefined: 20 s if there is a store, else no limit. */
  readonly startTimeoutMs?: number | undefined;
  /** Rollback copies kept beside the store. */
  readonly rollbackCopies: number;
  /** Files in transfer at once. */
  readonly concurrency: number;
  /** Names this host in manifests. */
  readonly host: string;
  readonly agent: string;
  /** Bytes of the remote's own prefix: it counts towards the limit of a key. */
  readonly prefixBytes: number;
}

/** For operations whose phases follow each other. */
export function enterPhase({ emit }: Context, phase: Phase): void {
  emit({ type: 'phase', phase });
}

/** Does the work of one phase. `moved`: to be told of the bytes that it copied, hashed, sent or received. */
export async function inPhase<T>(
  { emit, phases, onWork }: Context,
  phase: Phase,
  work: (moved: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  await onWork?.();
  emit({ type: 'phase', phase });
  return phases.measure(phase, () => work((bytes) => phases.moved(phase, bytes)));
}

/** Counts the bytes of one phase and emits progress. */
export function progressOf(
  context: Context,
  phase: Phase,
  total: number,
): (bytes: number, isCopied?: boolean) => void {
  let done = 0;
  return (bytes, isCopied) => {
    done += bytes;
    if (isCopied !== true) context.phases.moved(phase, bytes);
    context.emit({ type: 'progress', phase, done: Math.min(done, total), total });
  };
}

/** Names the staging directory of one attempt. */
export function newAttempt(): string {
  return randomUUID();
}
