import { SyncAgentError } from '../../../platform/errors.ts';
import type { RunningCommand } from '../../../run/command-process.ts';
import { processSignals } from '../../../run/process-signals.ts';
import type { SignalSource } from '../../../run/process-signals.ts';

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;
/** These are meant for the command, such as the SIGHUP that makes a server read its configuration again. */
const othersSignals = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;

export interface Passing {
  /** Aborts if a signal asks to stop before the command has started. */
  readonly signal: AbortSignal;
  /** The first signal that asked to stop. */
  readonly first: () => NodeJS.Signals | undefined;
  /** The command has ended: from now on a signal is for this process. */
  ended(): void;
  release(): void;
}

/**
 * Before the command, a signal that asks to stop aborts what is done before it. Then signals are the command's. After it, the store
 * is checked whatever asked the command to stop; one more signal ends this process as the system would.
 */
export function passSignals(
  {
    command,
    say,
  }: { readonly command: () => RunningCommand | undefined; readonly say: (line: string) => void },
  signals: SignalSource = processSignals,
): Passing {
  const before = new AbortController();
  let first: NodeJS.Signals | undefined;
  let hasEnded = false;
  const release = signals.listen([...stopSignals, ...othersSignals], ({ name, isTyped }) => {
    const asksToStop = (stopSignals as readonly string[]).includes(name);
    const running = command();
    if (running !== undefined && !hasEnded) {
      // A typed one has reached the command already.
      if (!isTyped) running.signal(name);
      return;
    }
    if (!asksToStop && name !== 'SIGHUP') return;
    if (first !== undefined || hasEnded) {
      release();
      process.kill(process.pid, name);
      return;
    }
    first = name;
    say(`Ended by ${name}: cleaning up; a second signal ends it at once`);
    before.abort(new SyncAgentError('INTERRUPTED', `Cannot finish: ${name} was received`));
  });
  return { signal: before.signal, first: () => first, ended: () => (hasEnded = true), release };
}
