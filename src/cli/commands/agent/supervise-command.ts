import { exitCodeOfStart, startCommand } from '../../../run/command-process.ts';
import { processSignals } from '../../../run/process-signals.ts';
import { startReaper } from '../../../run/reaper.ts';
import type { StoreKeeper } from '../../../run/store-keeper.ts';
import { supervise } from '../../../run/supervise.ts';
import type { Supervised } from '../../../run/supervise.ts';
import { systemClock } from '../../../platform/clock.ts';
import { shutdownBudgetMs } from '../../../settings/use-config.ts';
import { isSyncAgentError } from '../../../platform/errors.ts';
import type { DaemonEvent } from '../../../platform/events.ts';
import { errorDocument, errorLines } from '../../../report/error.ts';
import type { Command, Invocation } from '../command.ts';
import { mayStartUnrestored, startOptions } from '../may-start-unrestored.ts';

export interface OpenedKeeper {
  readonly keeper: StoreKeeper;
  /** Takes the supervisor's own events. */
  readonly emit: (event: DaemonEvent) => void;
  /** Gives the store up, so that another agent can take it. */
  readonly close: () => Promise<void>;
}

export interface OpenKeeperOptions {
  /** The restore keeps no rollback copy. */
  readonly skipBackup: boolean;
  /** How long the restore waits for the host that holds the lease, milliseconds. */
  readonly waitForLeaseMs: number | undefined;
  /** The restore fails if that wait ends without the lease. */
  readonly mustHandOver: boolean;
}

/** The command `run`. `open` gives what it restores, backs up and reports to. */
export function superviseCommand(
  open: (invocation: Invocation, options: OpenKeeperOptions) => Promise<OpenedKeeper>,
): Command {
  return {
    name: 'run',
    describe: 'Restore, run a command, back up while it runs and after it has ended',
    isQuery: false,
    ownsSignals: true,
    rest: {
      name: 'command',
      describe: 'Program to run, without a shell, and its arguments',
      isRequired: true,
    },
    options: {
      'no-restore': { type: 'boolean', describe: 'Start the command without a restore' },
      ...startOptions,
      'skip-backup': { type: 'boolean', describe: 'Keep no rollback copy of the replaced store' },
    },
    run: async (invocation) => {
      const { config, flags, say, style } = invocation;
      const onError = flags.choice('on-error', ['fail', 'continue']);
      const argv = flags.list('command');
      // The reader of stderr may go away before the command ends.
      process.stderr.on('error', () => undefined);
      const stopReaping = await startReaper({ warn: (line) => say(`${style.red('WARNING:')} ${line}`) });
      const { keeper, emit, close } = await open(invocation, {
        skipBackup: flags.has('skip-backup'),
        waitForLeaseMs: flags.duration('wait-for-lease'),
        mustHandOver: onError === 'fail',
      });
      try {
        const supervised = await supervise(
          tolerant(keeper, invocation, onError),
          {
            name: argv[0] ?? '',
            start: () => startCommand(argv, { env: process.env, cwd: process.cwd() }),
          },
          {
            shutdownBudgetMs: shutdownBudgetMs(config),
            restore: !flags.has('no-restore'),
            signals: processSignals,
            clock: systemClock,
            emit,
          },
        );
        return outcomeOf(supervised, invocation);
      } finally {
        await close();
        stopReaping();
      }
    },
  };
}

/** The same keeper, but its restore resolves with a warning where --on-error lets the command start. */
function tolerant(
  keeper: StoreKeeper,
  { agent, config, say, style }: Invocation,
  onError: 'fail' | 'continue' | undefined,
): StoreKeeper {
  return {
    start: () => keeper.start(),
    stop: (options) => keeper.stop(options),
    onProgress: (listener) => keeper.onProgress(listener),
    findWriters: () => keeper.findWriters(),
    recovery: keeper.recovery,
    restore: async (options) => {
      try {
        await keeper.restore(options);
      } catch (error) {
        const isAccepted =
          (isSyncAgentError(error, 'DIVERGED') && onError === 'continue') ||
          (await mayStartUnrestored(error, {
            store: config.store ?? '',
            exclude: config.exclude,
            onError,
            agent,
          }));
        if (!isSyncAgentError(error) || !isAccepted) throw error;
        say(`${style.red('WARNING:')} ${error.message}`);
        say(
          'WARNING: Nothing was restored. Starting with what is on this disk, which may be old (--on-error)',
        );
      }
    },
  };
}

function outcomeOf(
  { exitCode, failure, isSaved, unsavedSinceMs, writers }: Supervised,
  { say, style }: Invocation,
) {
  if (failure !== undefined) for (const line of errorLines(failure, style)) say(line);
  if (!isSaved) {
    const since = unsavedSinceMs === null ? 'at the end' : `since ${new Date(unsavedSinceMs).toISOString()}`;
    say(
      `${style.red('WARNING:')} Writes ${since} are in no snapshot. They are on this disk only, until a backup is made from it`,
    );
  }
  for (const { pid, command } of writers)
    say(`${style.red('WARNING:')} Process ${pid} (${command}) still has the store open for writing`);
  return {
    result:
      failure === undefined
        ? null
        : { error: { ...errorDocument(failure).error, exitCode: exitCodeOfStart(failure) } },
    lines: [],
    exitCode,
    exitsAtOnce: true,
  };
}
