import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { startBuiltCli } from './built-cli.ts';

/** One line of an agent's log. */
export interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly type: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface RunningAgent {
  readonly child: ChildProcess;
  /** All lines so far. */
  readonly log: readonly LogLine[];
  /** The next line, after those that `saw` gave before, that is of this kind. Rejects when the agent ends without one. */
  saw(type: string, isIt?: (line: LogLine) => boolean): Promise<LogLine>;
  /** SIGTERM, unless told otherwise, and what became of it. */
  stop(signal?: NodeJS.Signals): Promise<{ readonly exitCode: number | null; readonly stdout: string }>;
}

/** Starts the published command line as an agent that logs JSON, and reads along. */
export function startAgent(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): RunningAgent {
  const separator = args.indexOf('--');
  const own = separator < 0 ? args : args.slice(0, separator);
  const rest = separator < 0 ? [] : args.slice(separator);
  const { child, done } = startBuiltCli([...own, '--log-format', 'json', ...rest], env);
  const log: LogLine[] = [];
  let noticed = (): void => undefined;
  let isOver = false;
  let read = 0;
  if (child.stderr === null) throw new Error('The agent has no log');
  createInterface({ input: child.stderr }).on('line', (line) => {
    // The supervised command may print there too.
    if (!line.startsWith('{')) return;
    log.push(JSON.parse(line) as LogLine);
    noticed();
  });
  void done.finally(() => {
    isOver = true;
    noticed();
  });
  return {
    child,
    log,
    saw: async (type, isIt = () => true) => {
      for (;;) {
        for (; read < log.length; read += 1) {
          const line = log[read];
          if (line?.type !== type || !isIt(line)) continue;
          read += 1;
          return line;
        }
        if (isOver)
          throw new Error(`The agent ended without ${type}: ${log.map((line) => line.msg).join('\n')}`);
        await new Promise<void>((resolve) => (noticed = resolve));
      }
    },
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      return done;
    },
  };
}
