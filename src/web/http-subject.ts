import type { DiskSpace } from '../platform/disk-space.ts';
import type { RollbackCopy } from '../home/rollback-copies.ts';
import type { DaemonStatus, RecordedEvent } from '../api/daemon-status.ts';

/** What the HTTP server tells about, and all that it can ask for. No call makes a request of the remote. */
export interface HttpSubject {
  /** From memory. */
  status(): DaemonStatus;
  /** The application says that it wrote. Resolves when that is noted, which is before anything is backed up. */
  notify(): Promise<void>;
  /** Calls for each event from here on; returns how to end it. */
  subscribe(listener: (event: RecordedEvent) => void): () => void;
  /** Looks at the local disk. Callers rest between looks; see `rested-look.ts`. */
  look(): Promise<LocalFacts>;
}

/** What is found on the local disk. A member is null where looking failed, or there was nothing to look at. */
export interface LocalFacts {
  readonly atMs: number;
  /** Of the file system that holds the store. */
  readonly disk: DiskSpace | null;
  readonly store: { readonly bytes: number; readonly files: number } | null;
  /** Oldest first. */
  readonly rollbackCopies: readonly RollbackCopy[] | null;
}
