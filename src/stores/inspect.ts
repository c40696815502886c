import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SyncAgentError, interrupted, throwIfAborted } from '../platform/errors.ts';
import { startWorker } from '../platform/start-worker.ts';
import type { InspectAnswer, InspectRequest } from './inspect-worker.ts';
import type { InspectOptions, StoreReport } from './adapter.ts';
import type { StoreKind } from './store-kind.ts';
import { errorOf } from './thread-failure.ts';

/**
 * Judges an image as its kind of store does, in a thread of its own if that blocks: SQLite's check of a large
 * database takes minutes in one call, during which signals, progress and other work must go on.
 *
 * Aborting rejects at once; the thread ends when the SQLite call it is in returns, since better-sqlite3 cannot
 * interrupt one, and a process that exits waits for that. Until then it only reads.
 */
export async function inspectStore(
  kind: StoreKind,
  dir: string,
  options: InspectOptions,
): Promise<StoreReport> {
  const { signal, arrival, ...request } = options;
  const action = `Inspecting "${dir}"`;
  if (kind.inspectsArriving !== true) await arrival?.rest;
  throwIfAborted(signal, action);
  if (kind.inspectBlocks !== true) return kind.inspect(dir, options);
  const sidecars = sidecarsOf(dir);
  const worker = startWorker('inspect-worker', import.meta.url, {
    kind: kind.name,
    dir,
    ...request,
    isArriving: arrival !== undefined,
  } satisfies InspectRequest);
  for (const part of ['databases', 'rest'] as const)
    void arrival?.[part].then(
      () => worker.postMessage(part, []),
      // Who waits for the files aborts the inspection, too.
      () => undefined,
    );
  return new Promise<StoreReport>((resolve, reject) => {
    let answered = false;
    const onAbort = (): void => {
      reject(interrupted(action, signal?.reason));
      void worker.terminate();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    worker.once('message', (answer: InspectAnswer) => {
      answered = true;
      if (answer.type === 'report') resolve(answer.report);
      else reject(errorOf(answer));
    });
    worker.once('error', (cause) => reject(died(dir, `with "${cause.message}"`, cause)));
    worker.once('exit', (exitCode) => {
      signal?.removeEventListener('abort', onAbort);
      if (!answered) removeNewSidecars(dir, sidecars);
      reject(died(dir, `with exit code ${exitCode} before it answered`));
    });
  });
}

function died(dir: string, how: string, cause?: unknown): SyncAgentError {
  return new SyncAgentError('INTERNAL', `Cannot inspect "${dir}": the inspection died ${how}`, { cause });
}

/** SQLite's companion files; a worker that is ended in the middle leaves those it made (see `openSqliteImage`). */
function sidecarsOf(dir: string): ReadonlySet<string> {
  try {
    const names = readdirSync(dir, { recursive: true, encoding: 'utf8' });
    return new Set(names.filter((name) => /-(shm|wal)$/.test(name)));
  } catch {
    return new Set();
  }
}

function removeNewSidecars(dir: string, before: ReadonlySet<string>): void {
  for (const name of sidecarsOf(dir)) {
    if (before.has(name)) continue;
    const path = join(dir, name);
    if (name.endsWith('-shm') || statSync(path, { throwIfNoEntry: false })?.size === 0)
      rmSync(path, { force: true });
  }
}
