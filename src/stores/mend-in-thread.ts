import { SyncAgentError, interrupted, throwIfAborted } from '../platform/errors.ts';
import { startWorker } from '../platform/start-worker.ts';
import type { InspectOptions } from './adapter.ts';
import type { MendAnswer, MendCall, MendRequest } from './mend-worker.ts';
import type { MendOptions, StoreMending } from './mending.ts';
import { errorOf } from './thread-failure.ts';

/**
 * A kind's mending in a thread of its own: SQLite writes a large database anew in one call, during which signals and progress
 * must go on. Aborting rejects at once, and the copy is garbage: the thread ends when the call that it is in returns.
 */
export function mendInThread(
  kind: string,
  leavingAlone: <T extends Pick<InspectOptions, 'exclude'>>(options: T) => T,
): StoreMending {
  return {
    planRepair: (dir, options) => call(kind, 'planRepair', [dir, leavingAlone(options)]),
    repair: (dir, step, options) => call(kind, 'repair', [dir, step, options]),
    estimateMaintenance: (dir, options) => call(kind, 'estimateMaintenance', [dir, options]),
    maintain: (dir, options) => call(kind, 'maintain', [dir, options]),
  };
}

type Result<N extends MendCall> = Awaited<ReturnType<StoreMending[N]>>;

async function call<N extends MendCall>(
  kind: string,
  name: N,
  args: Parameters<StoreMending[N]>,
): Promise<Result<N>> {
  const [dir] = args;
  const { signal, ...options } = args.at(-1) as MendOptions;
  const action = `Mending "${dir}"`;
  throwIfAborted(signal, action);
  const worker = startWorker('mend-worker', import.meta.url, {
    kind,
    call: name,
    args: [...args.slice(0, -1), options],
  } satisfies MendRequest);
  return new Promise<Result<N>>((resolve, reject) => {
    const onAbort = (): void => {
      reject(interrupted(action, signal?.reason));
      void worker.terminate();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    worker.once('message', (answer: MendAnswer) => {
      if (answer.type === 'result') resolve(answer.result as Result<N>);
      else reject(errorOf(answer));
    });
    const died = (how: string, cause?: unknown): void =>
      reject(new SyncAgentError('INTERNAL', `Cannot mend "${dir}": the thread died ${how}`, { cause }));
    worker.once('error', (cause) => died(`with "${cause.message}"`, cause));
    worker.once('exit', (exitCode) => {
      signal?.removeEventListener('abort', onAbort);
      died(`with exit code ${exitCode} before it answered`);
    });
  });
}
