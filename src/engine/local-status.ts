import { fileTimeMs } from '../platform/file-system.ts';
import { fingerprint, storeIdentity } from '../stores/content/fingerprint.ts';
import { storeExists } from '../home/home.ts';
import { scanStore } from '../stores/content/scan.ts';
import type { ScanResult } from '../stores/content/scan.ts';
import { readState } from '../home/state.ts';
import type { Context } from './context.ts';

/** What this host knows about the store without asking the remote. */
export interface LocalStatus {
  readonly exists: boolean;
  /** The snapshot that the store's content was last equal to, as recorded here. */
  readonly parent: string | undefined;
  /** Nothing was written since the store was equal to `parent`. False also if nobody knows. */
  readonly isUnchanged: boolean;
  /** When the store was last written, by the files' times, milliseconds since the epoch; undefined without a file. */
  readonly writtenAtMs: number | undefined;
}

export interface LocalStatusOptions {
  /** UNSUPPORTED if the store is of a kind that keeps no log of its own writes. */
  readonly mustKeepLog?: boolean;
}

/** A look at the store, beside the record of this host. */
export interface StoreLook extends LocalStatus {
  /** Whether this host has a record of the remote, be it of this store or of one that it replaced. */
  readonly knowsRemote: boolean;
  /** Undefined if there is no store. */
  readonly scan: ScanResult | undefined;
  /** When the scan began, by `clock.now()`. */
  readonly lookedAtMs: number;
}

/** Compares the files' times with the local record. Makes no request and opens no file of the store. */
export async function readLocalStatus(context: Context): Promise<LocalStatus> {
  const { scan: _, lookedAtMs: __, knowsRemote: ___, ...status } = await lookAtStore(context);
  return status;
}

export async function lookAtStore(context: Context): Promise<StoreLook> {
  const { home, remoteId, clock } = context;
  const lookedAtMs = clock.now();
  if (!(await storeExists(home))) {
    const nothing = {
      knowsRemote: false,
      parent: undefined,
      writtenAtMs: undefined,
      scan: undefined,
      lookedAtMs,
    };
    return { exists: false, isUnchanged: false, ...nothing };
  }
  const [scan, local, identity] = await Promise.all([
    scanStore(home.store, home.exclude),
    readState(home),
    storeIdentity(home.store),
  ]);
  const recorded = local?.identity === identity ? local.remotes[remoteId] : undefined;
  const newestNs = scan.files.reduce((newest, file) => (file.mtimeNs > newest ? file.mtimeNs : newest), 0n);
  return {
    exists: true,
    knowsRemote: local?.remotes[remoteId] !== undefined,
    parent: recorded?.parent?.id,
    // An upload whose answer was lost may have been committed: only the remote can tell.
    isUnchanged:
      recorded?.parent != null && recorded.pending === null && recorded.fingerprint === fingerprint(scan),
    writtenAtMs: scan.files.length === 0 ? undefined : fileTimeMs(newestNs),
    scan,
    lookedAtMs,
  };
}
