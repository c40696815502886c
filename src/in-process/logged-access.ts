import { hostname } from 'node:os';
import type { CallOptions } from '../api/agent.ts';
import type { Context } from '../engine/context.ts';
import { storeExists } from '../home/home.ts';
import type { Home } from '../home/home.ts';
import type { ReplaceJournal } from '../home/journal.ts';
import { describeOperation } from '../home/operations/describe-operation.ts';
import type { EndEntry, LoggedOperation } from '../home/operations/entry.ts';
import { logBegin, logEnd, programName, thisWorker } from '../home/operations/operations-log.ts';
import type { BegunEntry } from '../home/operations/operations-log.ts';
import { readOperations } from '../home/operations/records.ts';
import { operationsRoot } from '../home/operations/segments.ts';
import { suspectsOf } from '../home/operations/suspects.ts';
import { readState } from '../home/state.ts';
import type { Clock } from '../platform/clock.ts';
import { SyncAgentError, isSyncAgentError, messageOf } from '../platform/errors.ts';
import type { Emit } from '../platform/events.ts';
import { redact } from '../report/redact.ts';
import type { StoreAccess } from './store-access.ts';

/**
 * When an operation gets into the log. `at-once`: before it does anything. `with-work`: with its first phase, so that one that finds
 * nothing to do costs nothing and is not there, unless it fails. `if-told`: only if its result is one of `worthTelling`; renewals come
 * every few seconds, and all fail while the remote is out of reach. To log another operation, add it to `LoggedOperation` and here.
 */
const logged: Readonly<Record<LoggedOperation, 'at-once' | 'with-work' | 'if-told'>> = {
  backup: 'with-work',
  restore: 'with-work',
  sync: 'with-work',
  repair: 'with-work',
  maintain: 'with-work',
  rollback: 'at-once',
  'restore-archive': 'with-work',
  rebuild: 'at-once',
  protect: 'at-once',
  copy: 'with-work',
  prune: 'at-once',
  'clear-history': 'at-once',
  pin: 'at-once',
  unpin: 'at-once',
  'repair-remote': 'at-once',
  drill: 'at-once',
  import: 'at-once',
  index: 'at-once',
  analyze: 'at-once',
  'restore-collection': 'at-once',
  merge: 'at-once',
  'acquire-lease': 'at-once',
  'renew-lease': 'if-told',
  'release-lease': 'at-once',
};

/** Results that nobody worked for, but that people will look for. */
const worthTelling: ReadonlySet<string> = new Set(['diverged', 'lost']);

/** What the entry of a call is made of, besides its result. */
export interface LoggedOptions extends CallOptions {
  readonly dryRun?: boolean | undefined;
  /** What a person calls the work. */
  readonly name?: string;
}

/** The entry of an operation that has begun. */
export interface OpenEntry {
  readonly id: string;
  /** Adds to what its end will say. */
  tell(facts: Partial<EndFacts>): void;
}

/** Ids of the operations within which this process was started, the outermost first, separated by colons. */
export const withinVariable = 'SYNC_AGENT_WITHIN';

export function enclosingOperations(): readonly string[] {
  return (process.env[withinVariable] ?? '').split(':').filter(Boolean);
}

/** As `StoreAccess`, for calls that change something: each one is in the log. A dry run is not. */
export interface LoggedAccess {
  read<T>(
    operation: LoggedOperation,
    options: LoggedOptions,
    work: (context: Context) => Promise<T>,
  ): Promise<T>;
  write<T>(
    operation: LoggedOperation,
    options: LoggedOptions,
    work: (context: Context, interrupted: ReplaceJournal | undefined) => Promise<T>,
  ): Promise<T>;
  writeWhole<T>(
    operation: LoggedOperation,
    options: LoggedOptions,
    work: (context: Context) => Promise<T>,
  ): Promise<T>;
  /** For a call that gets at store and remote in another way. Begins at once. */
  call<T>(
    operation: LoggedOperation,
    options: LoggedOptions,
    work: (entry: OpenEntry) => Promise<T>,
  ): Promise<T>;
  /** Warns of the operations during which damage that was found just now may have appeared. */
  nameSuspects(): Promise<void>;
}

export interface LoggedAccessOptions {
  readonly clock: Clock;
  readonly emit: Emit;
  /** This host, as manifests name it. */
  readonly host: string | undefined;
  /** Default: the script that this process runs. */
  readonly program: string | undefined;
}

/** Puts the operation log around the calls of `access`. A log that cannot be written fails none of them: a warning tells. */
export function loggedAccess(
  access: StoreAccess,
  { clock, emit, host = hostname(), program = programName() }: LoggedAccessOptions,
): LoggedAccess {
  let hasWarned = false;
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      const at = await access.home().then(operationsRoot, () => undefined);
      if (!hasWarned && at !== undefined)
        emit({
          type: 'warning',
          code: 'NOTICE',
          message: `Cannot write the operation log in "${at}": ${messageOf(error)}`,
        });
      hasWarned = true;
      return undefined;
    }
  };
  const now = (): string => new Date(clock.now()).toISOString();

  const nameSuspects = async (): Promise<void> => {
    const records = await readOperations(await access.home()).catch(() => []);
    for (const each of suspectsOf(records))
      emit({
        type: 'warning',
        code: 'STORE_CORRUPT',
        message: `The damage may have appeared during ${describeOperation(each)}`,
      });
  };

  const around = async <T>(
    operation: LoggedOperation,
    { dryRun, name, within = enclosingOperations().at(-1) }: LoggedOptions,
    call: (entering: Entering, entry: OpenEntry) => Promise<T>,
  ): Promise<T> => {
    const id = clock.randomHex(6);
    let told: Partial<EndFacts> = {};
    const entry: OpenEntry = { id, tell: (facts) => (told = { ...told, ...facts }) };
    if (dryRun === true) return call(async (context) => context, entry);
    const what = { id, operation, ...(name === undefined ? {} : { name }) };
    const startedAt = clock.monotonic();
    let begun: Promise<BegunEntry | undefined> | undefined;
    let context: Context | undefined;
    const begin = (): Promise<BegunEntry | undefined> =>
      (begun ??= attempt(async () => {
        const { home, fs } = await access.place();
        // It is the first thing that is done to this store.
        if (['protect', 'rebuild'].includes(operation) && (await storeExists(home)))
          await fs.makeDirectory(home.dir);
        const before = await parentOf(home, context);
        const who = thisWorker(host, program);
        const inside = within === undefined ? {} : { within };
        return logBegin(fs, home, redact({ event: 'begin', at: now(), ...what, ...inside, ...who, before }));
      }));
    const end = async (facts: EndFacts): Promise<void> => {
      const killed = (await begin())?.killed;
      await attempt(async () => {
        const { home, fs } = await access.place();
        const tookMs = Math.max(0, Math.round(clock.monotonic() - startedAt));
        const after = await parentOf(home, context);
        const ended: EndEntry = { event: 'end', at: now(), ...what, ...facts, ...told, after, tookMs };
        await logEnd(fs, home, redact(ended), killed);
      });
    };

    try {
      const result = await call(async (given) => {
        context = given;
        if (logged[operation] === 'at-once') await begin();
        return { ...given, onWork: async () => void (await begin()) };
      }, entry);
      const facts = factsOf(result);
      if (begun !== undefined || worthTelling.has(facts.outcome)) await end(facts);
      return result;
    } catch (error) {
      if (logged[operation] !== 'if-told') await end({ outcome: 'failed', error: errorOf(error) });
      // The check within a protected operation has named them.
      if (operation !== 'protect' && isSyncAgentError(error, 'STORE_CORRUPT')) await nameSuspects();
      throw error;
    }
  };

  return {
    call: (operation, options, work) =>
      around(operation, options, async (entering, entry) => {
        await entering(undefined);
        return work(entry);
      }),
    read: (operation, options, work) =>
      around(operation, options, (entering) =>
        access.read(async (context) => work(await entering(context)), options.signal),
      ),
    write: (operation, options, work) =>
      around(operation, options, (entering) =>
        access.write(
          commandOf(operation),
          async (context, interrupted) => work(await entering(context), interrupted),
          options.signal,
        ),
      ),
    writeWhole: (operation, options, work) =>
      around(operation, options, (entering) =>
        access.writeWhole(
          commandOf(operation),
          async (context) => work(await entering(context)),
          options.signal,
        ),
      ),
    nameSuspects,
  };
}

/** Where the log begins to watch a call; what it returns is the context to work with. */
type Entering = <C extends Context | undefined>(context: C) => Promise<C>;

export type EndFacts = Omit<EndEntry, 'event' | 'id' | 'at' | 'operation' | 'after' | 'tookMs'>;

/** For "Cannot … the store". */
function commandOf(operation: LoggedOperation): string {
  if (operation === 'restore-archive') return 'restore';
  return operation === 'rollback' ? 'roll back' : operation;
}

/** The snapshot that the store was last equal to. Without a remote it is that of the only remote that this host knows. */
async function parentOf(home: Home, context: Context | undefined): Promise<string | null> {
  const remotes = (await readState(home).catch(() => undefined))?.remotes ?? {};
  const known = Object.values(remotes);
  const state = remotes[context?.remoteId ?? ''] ?? (known.length === 1 ? known[0] : undefined);
  return state?.parent?.id ?? null;
}

/** What every result says in the same words. */
function factsOf(result: unknown): EndFacts {
  const {
    type,
    id,
    snapshot = id,
    dropped,
    rollbackCopy,
    epoch,
    unusual,
  } = (result ?? {}) as Record<string, unknown>;
  return {
    outcome: typeof type === 'string' ? type : 'done',
    ...(typeof snapshot === 'string' ? { snapshot } : {}),
    ...(Array.isArray(dropped) && dropped.length > 0 ? { dropped: dropped.map(String) } : {}),
    ...(typeof rollbackCopy === 'string' ? { rollbackCopy } : {}),
    ...(typeof epoch === 'number' ? { epoch } : {}),
    ...(Array.isArray(unusual) ? { unusual: unusual.map(String) } : {}),
  };
}

function errorOf(error: unknown): NonNullable<EndEntry['error']> {
  // Work of others has no code of ours.
  const code = error instanceof SyncAgentError ? error.code : 'FAILED';
  return { code, message: messageOf(error) };
}
