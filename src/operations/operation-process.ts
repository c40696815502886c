import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { programName } from '../home/operations/operations-log.ts';
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
 * An agent that runs each call in a process of its own, for four reasons. If a process closes any descriptor of a
 * database, it drops all locks that it holds on it (POSIX fcntl(2)); so an application that has the store open must not
 * capture it in its own process. Memory goes back to the system after each call. The caller's event loop is never
 * blocked. A call that does not end can be killed, which every call survives.
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
    followLog: bound('followLog'),
    flush: bound('flush'),
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
    drill: bound('drill'),
    check: bound('check'),
    checkServer: bound('checkServer'),
    inspect: bound('inspect'),
    repair: bound('repair'),
    maintain: bound('maintain'),
    placeBuild: bound('placeBuild'),
    repairRemote: bound('repairRemote'),
    rollbackCopies: bound('rollbackCopies'),
    rollBack: bound('rollBack'),
    exportTo: bound('exportTo'),
    diffRecords: bound('diffRecords'),
    importFrom: bound('importFrom'),
    indexFile: bound('indexFile'),
    analyzeServer: bound('analyzeServer'),
    restoreCollection: bound('restoreCollection'),
    merge: bound('merge'),
    operationLog: bound('operationLog'),
    copyTo: bound('copyTo'),
    archiveTo: bound('archiveTo'),
    listArchives: bound('listArchives'),
    archiveInfo: bound('archiveInfo'),
    restoreArchive: bound('restoreArchive'),
    restoreArchiveTo: bound('restoreArchiveTo'),
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
  { emit, onRequests, abortGraceMs = defaultAbortGraceMs, program = programName() }: OperationObserver,
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
      // Its locks are gone when the process is, and all that it sent has been read only at `close`.
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
        send(child, { type: 'run', settings, operation, args: plain, program });
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

/** The bundle starts fastest. It is at the top of the package. */
function childScript(): { readonly url: URL; readonly needsLoader: boolean } {
  const from = import.meta.url;
  if (from.endsWith('.ts')) return scriptFromSources('operation-child', from);
  const top = from.endsWith('/operations/operation-process.js') ? '..' : '.';
  return { url: new URL(`${top}/operation-child.js`, from), needsLoader: false };
}

/** The end of what a process prints: why it died. */
function keepTail(stream: Readable | null): () => string {
  let tail = '';
  stream?.setEncoding('utf8').on('data', (text: string) => (tail = (tail + text).slice(-tailLength)));
  return () => tail;
}

/** Does nothing if the process is gone, which its exit tells. */
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
