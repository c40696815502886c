import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { BackupResult } from '../../src/engine/backup/backup.ts';
import type { ReleaseResult, RenewResult } from '../../src/engine/lease/lease.ts';
import { childScript } from './child-script.ts';

export interface HolderOptions {
  readonly store: string;
  readonly remote: string;
  readonly host: string;
  readonly ttlMs: number;
}

/** What a holder is asked to do, one after the other. */
export type HolderTask = 'acquire' | 'backup' | 'renew' | 'release';

/** A host that holds the lease, as a process of its own that can be killed. */
export interface LeaseHolder {
  readonly child: ChildProcess;
  backup(): Promise<BackupResult>;
  renew(): Promise<RenewResult>;
  release(): Promise<ReleaseResult>;
}

/** Resolves once it has the lease. */
export async function startLeaseHolder(options: HolderOptions): Promise<LeaseHolder> {
  const { file, execArgv } = childScript('lease-holder-child');
  const child = fork(file, [JSON.stringify(options)], { execArgv: [...execArgv] });
  const ask = async (task: HolderTask): Promise<unknown> => {
    child.send(task);
    const ended = once(child, 'exit').then(() => [{ error: 'the holder died' }]);
    const [{ result, error }] = (await Promise.race([once(child, 'message'), ended])) as [
      { readonly result?: unknown; readonly error?: string },
    ];
    if (error !== undefined) throw new Error(error);
    return result;
  };
  await ask('acquire');
  return {
    child,
    backup: () => ask('backup') as Promise<BackupResult>,
    renew: () => ask('renew') as Promise<RenewResult>,
    release: () => ask('release') as Promise<ReleaseResult>,
  };
}
