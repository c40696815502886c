import { SyncAgentError } from '../platform/errors.ts';

export interface Interruption {
  readonly signal: AbortSignal;
  /** Gives the signals back to Node. */
  release(): void;
}

/** For commands that listen to signals themselves. */
export const neverInterrupted: Interruption = {
  signal: new AbortController().signal,
  release: () => undefined,
};

/**
 * The first Ctrl-C or SIGTERM aborts, so that work ends cleanly. A second one ends the process as the system would:
 * at once, even while a thread is in a long call.
 */
export function listenForSignals(announce: (line: string) => void): Interruption {
  const controller = new AbortController();
  const names = ['SIGINT', 'SIGTERM'] as const;
  const release = (): void => {
    for (const name of names) process.removeListener(name, onSignal);
  };
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      release();
      process.kill(process.pid, name);
      return;
    }
    announce(
      `${name === 'SIGINT' ? 'Interrupted' : `Ended by ${name}`}: cleaning up; a second signal ends it at once`,
    );
    controller.abort(new SyncAgentError('INTERRUPTED', `Cannot finish: ${name} was received`));
  };
  for (const name of names) process.on(name, onSignal);
  return { signal: controller.signal, release };
}
