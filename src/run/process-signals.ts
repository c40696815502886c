import { readFileSync } from 'node:fs';

/** The source of signals. Tests replace it. */
export interface SignalSource {
  /** Handles the signals, until the returned function is called. */
  listen(names: readonly NodeJS.Signals[], onSignal: (signal: ReceivedSignal) => void): () => void;
}

export interface ReceivedSignal {
  readonly name: NodeJS.Signals;
  /** True if it may have been typed (Ctrl-C, Ctrl-\). The kernel then sends it to every process of the foreground group. */
  readonly isTyped: boolean;
}

export const processSignals: SignalSource = {
  listen: (names, onSignal) => {
    const listener = (name: NodeJS.Signals): void => {
      onSignal({ name, isTyped: (name === 'SIGINT' || name === 'SIGQUIT') && isInForeground() });
    };
    for (const name of names) process.on(name, listener);
    return () => {
      for (const name of names) process.removeListener(name, listener);
    };
  },
};

/** Whether this process's group is the foreground group of its terminal at this moment. */
function isInForeground(): boolean {
  try {
    return isForegroundStat(readFileSync('/proc/self/stat', 'utf8'));
  } catch {
    return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  }
}

/** proc_pid_stat(5): after the name in parentheses come state, ppid, pgrp, session, tty_nr and tpgid. */
export function isForegroundStat(stat: string): boolean {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[4] !== '0' && fields[2] === fields[5];
}
