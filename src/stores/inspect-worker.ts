import { parentPort, workerData } from 'node:worker_threads';
import { fromFileSystem } from '../platform/errors.ts';
import type { InspectOptions, StoreReport } from './adapter.ts';
import { kindNamed } from './find-kind.ts';
import { failureOf } from './thread-failure.ts';
import type { ThreadFailure } from './thread-failure.ts';

/** What `inspectStore` asks of its worker. */
export interface InspectRequest extends Omit<InspectOptions, 'signal' | 'arrival'> {
  /** Its name in the registry. */
  readonly kind: string;
  readonly dir: string;
  /** Messages say when the databases are there, and when the rest is. */
  readonly isArriving: boolean;
}

/** The worker's only message. */
export type InspectAnswer = { readonly type: 'report'; readonly report: StoreReport } | ThreadFailure;

async function answer({ kind: name, dir, isArriving, ...options }: InspectRequest): Promise<InspectAnswer> {
  try {
    const kind = kindNamed(name);
    if (kind === undefined) throw new TypeError(`no kind of store is named "${name}"`);
    const arrival = isArriving ? { databases: told('databases'), rest: told('rest') } : undefined;
    return { type: 'report', report: await kind.inspect(dir, { ...options, arrival }) };
  } catch (error) {
    return failureOf(fromFileSystem(error, `Cannot inspect "${dir}"`));
  }
}

const told = (part: 'databases' | 'rest'): Promise<void> =>
  new Promise((resolve) => parentPort?.on('message', (message) => message === part && resolve()));

parentPort?.postMessage(await answer(workerData as InspectRequest), []);
// Who listens keeps the thread alive.
parentPort?.unref();
