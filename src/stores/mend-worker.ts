import { parentPort, workerData } from 'node:worker_threads';
import { isDiskFull } from '../platform/disk-space.ts';
import { SyncAgentError, fromFileSystem, messageOf } from '../platform/errors.ts';
import { kindNamed } from './find-kind.ts';
import type { StoreMending } from './mending.ts';
import { failureOf } from './thread-failure.ts';
import type { ThreadFailure } from './thread-failure.ts';

export type MendCall = keyof StoreMending;

/** What `mendInThread` asks of its worker. */
export interface MendRequest {
  /** Its name in the registry. */
  readonly kind: string;
  readonly call: MendCall;
  /** The first is the directory. */
  readonly args: readonly unknown[];
}

/** The worker's only message. */
export type MendAnswer = { readonly type: 'result'; readonly result: unknown } | ThreadFailure;

async function answer({ kind: name, call, args }: MendRequest): Promise<MendAnswer> {
  const action = `Cannot mend "${String(args[0])}"`;
  try {
    const mending = kindNamed(name)?.mending;
    if (mending === undefined) throw new TypeError(`the kind "${name}" cannot be mended`);
    const work = mending[call] as (...all: readonly unknown[]) => Promise<unknown>;
    return { type: 'result', result: await work(...args) };
  } catch (error) {
    return failureOf(
      isDiskFull(error)
        ? new SyncAgentError('DISK_FULL', `${action}: ${messageOf(error)}`, { cause: error })
        : fromFileSystem(error, action),
    );
  }
}

parentPort?.postMessage(await answer(workerData as MendRequest), []);
