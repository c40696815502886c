import { parentPort, workerData } from 'node:worker_threads';
import { fromFileSystem } from '../platform/errors.ts';
import type { ErrorCode } from '../platform/errors.ts';
import { inspectChroma } from './chroma/inspect-chroma.ts';
import { inspectFiles } from './files/inspect-files.ts';
import { inspectSqlite } from './sqlite/inspect-sqlite.ts';
import type { AdapterName, InspectOptions, StoreAdapter, StoreReport } from './adapter.ts';

/** What `inspectStore` asks of its worker. */
export interface InspectRequest extends Omit<InspectOptions, 'signal'> {
  readonly adapter: AdapterName;
  readonly dir: string;
}

/** The worker's only message. Errors lose their class on the way between threads, so their fields are sent. */
export type InspectAnswer =
  | { readonly type: 'report'; readonly report: StoreReport }
  | {
      readonly type: 'error';
      readonly code: ErrorCode;
      readonly message: string;
      readonly remedy: string | undefined;
      readonly stack: string | undefined;
    };

const inspectors: Record<AdapterName, StoreAdapter['inspect']> = {
  chroma: inspectChroma,
  sqlite: inspectSqlite,
  files: inspectFiles,
};

async function answer({ adapter, dir, ...options }: InspectRequest): Promise<InspectAnswer> {
  try {
    return { type: 'report', report: await inspectors[adapter](dir, options) };
  } catch (error) {
    const { code, message, remedy, stack } = fromFileSystem(error, `Cannot inspect "${dir}"`);
    return { type: 'error', code, message, remedy, stack };
  }
}

parentPort?.postMessage(await answer(workerData as InspectRequest), []);
