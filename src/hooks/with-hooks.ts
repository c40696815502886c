import { defaultOf } from '../settings/settings.ts';
import { hostname } from 'node:os';
import type { Agent } from '../api/agent.ts';
import { systemClock } from '../platform/clock.ts';
import type { Clock } from '../platform/clock.ts';
import { SyncAgentError, messageOf, throwIfAborted } from '../platform/errors.ts';
import type { Emit } from '../platform/events.ts';
import { timeLeft } from '../platform/abort-signals.ts';
import { parseRemote } from '../remotes/remote-url.ts';
import { parseHooks } from './hook.ts';
import type { HookDocument, HookName, HookedOperation, Hooks } from './hook.ts';
import { runHook } from './run-hook.ts';

export interface HookContext {
  /** The agent's store and remote, for hooks to read. */
  readonly store: string;
  readonly remote: string;
  /** Default: the host name. */
  readonly host?: string | undefined;
  readonly emit?: Emit;
  readonly clock?: Clock;
}

type Outcome = Pick<HookDocument, 'result' | 'error'>;
type SyncCall = NonNullable<Parameters<Agent['sync']>[0]>;
type SyncResult = Awaited<ReturnType<Agent['sync']>>;

interface Guarded {
  readonly signal?: AbortSignal | undefined;
  /** A failed command before it does not stop it. */
  readonly force: boolean;
  readonly beforeHookMs?: number | undefined;
}

/**
 * The agent with hooks around its backups and restores, except dry runs. Hooks run outside the store's lock, so they
 * may call sync-agent themselves. After each before-hook the after-hook runs, with the result or the error. A hook that
 * fails emits an event and changes no result, with one exception: a command before a restore may be what stops the
 * server. If it fails, the restore is REFUSED before it touches anything, unless it is forced.
 */
export function withHooks(agent: Agent, hooks: Hooks, context: HookContext): Agent {
  const actions = parseHooks(hooks);
  if (actions.size === 0) return agent;
  const { timeoutMs = defaultOf('hookTimeout') } = hooks;
  const { store, emit = () => undefined, clock = systemClock, host = hostname() } = context;
  // Throws for a URL with a credential in it, which hooks must not see.
  const remote = parseRemote(context.remote).url;

  /** Resolves to what is wrong with a command that failed. */
  const call = async (
    hook: HookName,
    outcome: Outcome,
    { signal, limitMs }: { readonly signal: AbortSignal | undefined; readonly limitMs?: number | undefined },
  ) => {
    const action = actions.get(hook);
    if (action === undefined) return undefined;
    const at = new Date(clock.now()).toISOString();
    const startedAt = clock.monotonic();
    const onLine = (line: string): void => emit({ type: 'hook-output', hook, line });
    const document = { hook, store, remote, host, at, ...outcome };
    const { type, ...rest } = await runHook(action, document, { timeoutMs, limitMs, signal, onLine });
    emit({ type: 'hook', hook, outcome: type, durationMs: clock.monotonic() - startedAt, ...rest });
    return 'message' in rest && action.type === 'command' ? rest.message : undefined;
  };

  const around = async <R extends SyncResult>(
    operation: HookedOperation,
    { signal, force, beforeHookMs }: Guarded,
    work: () => Promise<R>,
  ): Promise<R> => {
    let result: R;
    try {
      const complaint = await call(`before-${operation}`, {}, { signal, limitMs: beforeHookMs });
      throwIfAborted(signal, `Running the before-${operation} hook`);
      if (complaint !== undefined && operation === 'restore' && !force) throw refused(store, complaint);
      result = await work();
    } catch (error) {
      await call(`after-${operation}`, { error: describe(error, signal) }, { signal: afterwards(signal) });
      throw error;
    }
    await call(`after-${operation}`, { result }, { signal: afterwards(signal) });
    return result;
  };

  const backup: Agent['backup'] = (options = {}) =>
    options.dryRun === true
      ? agent.backup(options)
      : around('backup', { ...options, signal: options.signal, force: true }, () => agent.backup(options));

  return {
    ...agent,
    backup,
    flush: async (options = {}) => {
      const flushed = await agent.flush({ ...options, isLogOnly: true });
      if (flushed.type !== 'not-followed' || options.isLogOnly === true) return flushed;
      return backup({ signal: options.signal, local: { minIntervalMs: 0 } });
    },
    restore: (options = {}) =>
      options.dryRun === true
        ? agent.restore(options)
        : around('restore', guarded(options), () => agent.restore(options)),
    check: async (options = {}) => {
      const report = await agent.check(options);
      if (report.damage.length > 0) {
        const result = { type: 'damaged', ...report };
        await call('on-damage', { result }, { signal: afterwards(options.signal) });
      }
      return report;
    },
    drill: async (options = {}) => {
      if (options.damage !== undefined) return agent.drill(options);
      const tell = (outcome: Outcome) => call('after-drill', outcome, { signal: afterwards(options.signal) });
      try {
        const report = await agent.drill(options);
        await tell({ result: { ...report, ...(report.snapshot === null ? {} : { id: report.snapshot }) } });
        return report;
      } catch (error) {
        await tell({ error: describe(error, options.signal) });
        throw error;
      }
    },
    sync: async (options = {}) => {
      if (options.dryRun === true) return agent.sync(options);
      let foreseen: Awaited<ReturnType<Agent['foreseeSync']>>;
      try {
        foreseen = await agent.foreseeSync(options);
      } catch (error) {
        // It counts as a failed backup, so that a hook reports it.
        return around('backup', guarded(options), () => Promise.reject(error as Error));
      }
      const { operation, reading } = foreseen;
      return around(operation, guarded(options), () => agent.sync({ ...options, reading }));
    },
  };
}

/** The signal that ended an operation must not end its after-hook at once: the hook gets half of the time that is left. */
function afterwards(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal?.aborted !== true) return signal;
  const leftMs = timeLeft(signal);
  if (leftMs === Infinity) return undefined;
  const later = new AbortController();
  setTimeout(() => later.abort(signal.reason), leftMs / 2).unref();
  return later.signal;
}

function guarded({ signal, force = false }: SyncCall): Guarded {
  return { signal, force };
}

function describe(error: unknown, signal: AbortSignal | undefined): NonNullable<Outcome['error']> {
  const code =
    error instanceof SyncAgentError ? error.code : signal?.aborted === true ? 'INTERRUPTED' : 'INTERNAL';
  return { code, message: messageOf(error) };
}

function refused(store: string, complaint: string): SyncAgentError {
  return new SyncAgentError(
    'REFUSED',
    `Cannot restore "${store}": the before-restore hook failed: ${complaint}`,
    {
      remedy: 'Nothing was touched. Mend the hook, or run "sync-agent restore --force" to go on without it',
    },
  );
}
