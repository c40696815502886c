/**
 * One operation in a process of its own. It ends by itself: with its answer, or when the process that asked is gone. So
 * no operation works on a store unsupervised.
 */
import type { Agent } from '../api/agent.ts';
import type { Operations } from '../api/operations.ts';
import { createAgent } from '../in-process/create-agent.ts';
import { SyncAgentError, interrupted, messageOf } from '../platform/errors.ts';
import type { AgentEvent } from '../platform/events.ts';
import { withHooks } from '../hooks/with-hooks.ts';
import { withSignal } from './operation-protocol.ts';
import type { Answer, PlainError, Request } from './operation-protocol.ts';

const aborter = new AbortController();
const abort = (reason: string, leftMs: number): void => {
  const untilMs = performance.now() + leftMs;
  aborter.abort(new SyncAgentError('INTERRUPTED', `Cannot finish: ${reason}`, { untilMs }));
};
/** How long it has to end when its parent is gone. */
const orphanMs = 2000;

// A terminal's Ctrl-C and a service manager signal every process of a group. This one obeys only its parent.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined);
process.on('disconnect', () => abort('the process that asked for it is gone', orphanMs));
process.on('message', (request: Request) => {
  if (request.type === 'abort') abort(request.reason, request.leftMs);
  else void run(request);
});

async function run({ settings, operation, args, program }: Extract<Request, { type: 'run' }>): Promise<void> {
  const emit = (event: AgentEvent): void => void send({ type: 'event', event });
  const bare = createAgent(settings, { emit, program });
  const { hooks, store, remote, host } = settings;
  const agent = hooks === undefined ? bare : withHooks(bare, hooks, { store, remote, host, emit });
  const operations: Operations = { ...agent, backUpAndList: (options) => backUpAndList(agent, options) };
  const call = operations[operation] as (...args: readonly unknown[]) => Promise<unknown>;
  try {
    const result = await call(...withSignal(args, aborter.signal));
    await send({ type: 'result', result, requests: agent.counts() });
  } catch (error) {
    await send({ type: 'error', error: plainError(error), requests: agent.counts() });
  } finally {
    await agent.close();
    if (process.connected) process.disconnect();
  }
}

async function backUpAndList(
  agent: Agent,
  options: Parameters<Operations['backUpAndList']>[0],
): ReturnType<Operations['backUpAndList']> {
  const result = await agent.backup(options);
  if (agent.requests() === 0) return { result, history: undefined };
  // The snapshot exists, so a failed listing is no failure of the backup.
  const history = await agent.list({ signal: options.signal }).catch(() => undefined);
  return { result, history };
}

function send(answer: Answer): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) return resolve();
    process.send?.(answer, undefined, {}, () => resolve());
  });
}

function plainError(error: unknown): PlainError {
  const known = knownError(error);
  const { code, message, remedy, retryable, outOfReach } = known;
  return {
    code,
    message,
    remedy,
    retryable,
    outOfReach,
    stack: error instanceof Error ? error.stack : undefined,
  };
}

function knownError(error: unknown): SyncAgentError {
  if (error instanceof SyncAgentError) return error;
  // A timer or a call of Node that the signal aborted.
  if (error instanceof Error && error.name === 'AbortError' && aborter.signal.aborted)
    return interrupted('The operation', aborter.signal.reason);
  return new SyncAgentError('INTERNAL', `Cannot go on: ${messageOf(error)}`, { cause: error });
}
