import { exitCodeOfStart, startCommand } from '../../../run/command-process.ts';
import { processSignals } from '../../../run/process-signals.ts';
import { startReaper } from '../../../run/reaper.ts';
import type { RunSubject } from '../../../run/run-subject.ts';
import { supervise } from '../../../run/supervise.ts';
import type { Supervised } from '../../../run/supervise.ts';
import { systemClock } from '../../../platform/clock.ts';
import { shutdownBudgetMs } from '../../../settings/load.ts';
import { isSyncAgentError } from '../../../platform/errors.ts';
import type { DaemonEvent } from '../../../platform/events.ts';
import { errorDocument, errorLines } from '../../../report/error.ts';
import type { Command, Invocation } from '../command.ts';
import { mayContinue } from '../may-continue.ts';
import { startOptions } from '../start-options.ts';

export interface OpenedSubject {
  readonly subject: RunSubject;
  /** Where the supervisor's own events go, beside those of the schedule. */
  readonly emit: (event: DaemonEvent) => void;
  /** Lets another agent have the store. */
  readonly close: () => Promise<void>;
}

export interface OpenSubjectOptions {
  /** Its restore keeps no rollback copy. */
  readonly skipBackup: boolean;
  /** How long its restore waits for a host that has the lease, milliseconds. */
  readonly waitForLeaseMs: number | undefined;
  /** When it waited in vain, it fails rather than goes on. */
  readonly mustHandOver: boolean;
}

/** `run`, for what `open` makes of an invocation. */
export function superviseCommand(
  open: (invocation: Invocation, options: OpenSubjectOptions) => Promise<OpenedSubject>,
): Command {
  return {
    name: 'run',
    describe: 'Restore, run a command, back up while it runs, and once more after it ended',
    isQuery: false,
    ownsSignals: true,
    rest: {
      name: 'command',
      describe: 'The program to run, without a shell, and its arguments',
      isRequired: true,
    },
    options: {
      'no-restore': { type: 'boolean', describe: 'Start the command with the store as it is' },
      ...startOptions,
      'skip-backup': { type: 'boolean', describe: 'Keep no rollback copy of a store that is replaced' },
    },
    run: async (invocation) => {
      const { config, flags, say, style } = invocation;
      const onError = flags.choice('on-error', ['fail', 'continue']);
      const argv = flags.list('command');
      // Whoever read our messages may go before the command does.
      process.stderr.on('error', () => undefined);
      const stopReaping = await startReaper({ warn: (line) => say(`${style.red('WARNING:')} ${line}`) });
      const { subject, emit, close } = await open(invocation, {
        skipBackup: flags.has('skip-backup'),
        waitForLeaseMs: flags.duration('wait-for-lease'),
        mustHandOver: onError === 'fail',
      });
      try {
        const supervised = await supervise(
          tolerant(subject, invocation, onError),
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

/** A subject whose restore may fail where `restore --on-error` lets an application start. */
function tolerant(
  subject: RunSubject,
  { agent, config, say, style }: Invocation,
  onError: 'fail' | 'continue' | undefined,
): RunSubject {
  return {
    start: () => subject.start(),
    stop: (options) => subject.stop(options),
    onProgress: (listener) => subject.onProgress(listener),
    findWriters: () => subject.findWriters(),
    restore: async (options) => {
      try {
        await subject.restore(options);
      } catch (error) {
        const isAccepted =
          (isSyncAgentError(error, 'DIVERGED') && onError === 'continue') ||
          (await mayContinue(error, { store: config.store ?? '', exclude: config.exclude, onError, agent }));
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
    const since = unsavedSinceMs === null ? 'last' : `since ${new Date(unsavedSinceMs).toISOString()}`;
    say(
      `${style.red('WARNING:')} Not in any snapshot: what was written ${since}. It is on this disk only, until a backup is made from it`,
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
