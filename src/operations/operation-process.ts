import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { SyncAgentError, interrupted, messageOf, throwIfAborted } from '../platform/errors.ts';
import type { OperationObserver, Operations } from '../api/operations.ts';
import { splitSignal } from './operation-protocol.ts';
import type { Answer, OperationName, OperationSettings, Request } from './operation-protocol.ts';
import { scriptFromSources } from '../platform/script-from-sources.ts';
import { timeLeft } from '../platform/abort-signals.ts';

/** The processes of operations that run now. */
const running = new Set<number>();
export const operationPids: ReadonlySet<number> = running;

const defaultAbortGraceMs = 10_000;
const tailLength = 4000;

/**
 * An agent each of whose calls runs in a process of its own. Four reasons: closing any descriptor of a database drops
 * all locks that the same process holds on it, so an application that has the store open must not share a process with
 * a capture of it (POSIX fcntl(2)); memory goes back to the system after each call; the caller's event loop is never
 * held up; and a call that does not end can be killed, which every call survives.
 *
 * Costs about a quarter of a second of start-up. Rejects as the agent's own calls do.
 */
export function operationsInProcesses(
  settings: OperationSettings,
  options: OperationObserver = {},
): Operations {
  const bound = (operation: OperationName) =>
    ((...args: readonly unknown[]) => runOperation(settings, operation, args, options)) as never;
  return {
    backup: bound('backup'),
    backUpAndList: bound('backUpAndList'),
    restore: bound('restore'),
    restoreTo: bound('restoreTo'),
    sync: bound('sync'),
    assertSound: bound('assertSound'),
    localStatus: bound('localStatus'),
    list: bound('list'),
    show: bound('show'),
    diff: bound('diff'),
    verify: bound('verify'),
    prune: bound('prune'),
    pin: bound('pin'),
    unpin: bound('unpin'),
    clearHistory: bound('clearHistory'),
    repairRemote: bound('repairRemote'),
    rollbackCopies: bound('rollbackCopies'),
    rollBack: bound('rollBack'),
    status: bound('status'),
    acquireLease: bound('acquireLease'),
    renewLease: bound('renewLease'),
    releaseLease: bound('releaseLease'),
    waitForLease: bound('waitForLease'),
    doctor: bound('doctor'),
  };
}

async function runOperation(
  settings: OperationSettings,
  operation: OperationName,
  args: readonly unknown[],
  { emit, onRequests, abortGraceMs = defaultAbortGraceMs }: OperationObserver,
): Promise<unknown> {
  const { signal, plain } = splitSignal(args);
  const action = `Running "${operation}"`;
  throwIfAborted(signal, action);
  const child = startChild(operation);
  const { pid = 0 } = child;
  running.add(pid);
  child.once('close', () => running.delete(pid));
  const errors = keepTail(child.stderr);
  let killer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    const leftMs = Math.min(timeLeft(signal), abortGraceMs);
    send(child, { type: 'abort', reason: messageOf(signal?.reason), leftMs });
    killer = setTimeout(() => child.kill('SIGKILL'), abortGraceMs);
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await new Promise<unknown>((resolve, reject) => {
      let answer: Answer | undefined;
      child.on('message', (message: Answer) => {
        if (message.type === 'event') emit?.(message.event);
        else answer = message;
      });
      child.once('error', (cause) => reject(died(operation, messageOf(cause), cause)));
      // Only when the process is gone are its locks, and only at `close` is everything read that it sent.
      child.once('close', (code, killedBy) => {
        if (answer?.type === 'result') resolve(answer.result);
        else if (answer?.type === 'error') reject(errorOf(answer.error));
        else if (signal?.aborted === true) reject(interrupted(action, signal.reason));
        else {
          const why = `it ended with ${killedBy ?? `exit code ${code}`} before it answered`;
          reject(died(operation, why, errors() || undefined));
        }
        if (answer !== undefined && answer.type !== 'event') onRequests?.(answer.requests);
      });
      try {
        send(child, { type: 'run', settings, operation, args: plain });
      } catch (cause) {
        child.kill('SIGKILL');
        reject(notPlain(operation, cause));
      }
    });
  } finally {
    clearTimeout(killer);
    signal?.removeEventListener('abort', onAbort);
  }
}

function startChild(operation: OperationName): ChildProcess {
  const { url, needsLoader } = childScript();
  try {
    return fork(fileURLToPath(url), {
      execArgv: needsLoader ? ['--import', import.meta.resolve('tsx')] : [],
      // Keeps what JSON would lose: undefined, Date, Map.
      serialization: 'advanced',
      // Standard output and standard error are the caller's.
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
  } catch (cause) {
    throw died(operation, messageOf(cause), cause);
  }
}

/** The bundle, which starts fastest, stands at the top of the package. */
function childScript(): { readonly url: URL; readonly needsLoader: boolean } {
  const from = import.meta.url;
  if (from.endsWith('.ts')) return scriptFromSources('operation-child', from);
  const top = from.endsWith('/operations/operation-process.js') ? '..' : '.';
  return { url: new URL(`${top}/operation-child.js`, from), needsLoader: false };
}

/** What a process that dies says last: the reason. */
function keepTail(stream: Readable | null): () => string {
  let tail = '';
  stream?.setEncoding('utf8').on('data', (text: string) => (tail = (tail + text).slice(-tailLength)));
  return () => tail;
}

/** A process that is gone says so by its exit. */
function send(child: ChildProcess, request: Request): void {
  if (child.connected) child.send(request, () => undefined);
}

function errorOf(error: Extract<Answer, { type: 'error' }>['error']): SyncAgentError {
  const { code, message, remedy, retryable, outOfReach, stack } = error;
  return new SyncAgentError(code, message, {
    retryable,
    outOfReach,
    cause: stack,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

function notPlain(operation: OperationName, cause: unknown): SyncAgentError {
  return new SyncAgentError('USAGE', `Cannot pass the options of "${operation}" on: ${messageOf(cause)}`, {
    remedy: 'Give settings and options as plain data',
    cause,
  });
}

function died(operation: OperationName, why: string, cause?: unknown): SyncAgentError {
  return new SyncAgentError('INTERNAL', `Cannot finish "${operation}": ${why}`, {
    remedy: 'Nothing is lost: run it again',
    ...(cause === undefined ? {} : { cause }),
  });
}
