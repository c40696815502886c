import type { Agent } from '../../in-process/agent.ts';
import type { Config } from '../../settings/load.ts';
import type { Style } from '../../report/style.ts';
import type { Flags } from '../flags.ts';

/** One command of the command line. Modules of commands load nothing heavy; `run` imports what it needs. */
export interface Command {
  readonly name: string;
  readonly describe: string;
  readonly positionals?: readonly Positional[];
  readonly options?: Readonly<Record<string, CommandOption>>;
  /** What follows "--" and is not ours to understand: `flags.list(name)`. */
  readonly rest?: Positional;
  /** It decides itself what a signal means; `signal` never aborts. */
  readonly ownsSignals?: boolean;
  /** It answers a question, so that --quiet does not silence its result. */
  readonly isQuery: boolean;
  /** Whether the agent must have a remote; default true. */
  needsRemote?(flags: Flags): boolean;
  run(invocation: Invocation): Promise<Outcome>;
}

export interface Positional {
  readonly name: string;
  readonly describe: string;
  readonly isRequired: boolean;
}

export interface CommandOption {
  readonly type: 'string' | 'boolean';
  readonly describe: string;
  /** May be given several times. */
  readonly isList?: boolean;
}

export interface Invocation {
  readonly agent: Agent;
  readonly config: Config;
  /** Settings that were typed as flags, by key, as typed. */
  readonly given: Readonly<Record<string, unknown>>;
  readonly flags: Flags;
  readonly signal: AbortSignal;
  readonly style: Style;
  /** Prints a line on stderr, whatever the verbosity. */
  readonly say: (line: string) => void;
  /** Requests sent to the remote so far. */
  readonly requests: () => number;
  /** `sync-agent <words>` with the flags by which this run found its store and remote, for a person to type. */
  readonly commandLine: (words: string) => string;
}

export interface Outcome {
  /** What --json prints: an object. Null if stdout was another program's. */
  readonly result: object | null;
  /** What people read. */
  readonly lines: readonly string[];
  /** Default 0. */
  readonly exitCode?: number;
  /** Nothing that still runs is waited for. */
  readonly exitsAtOnce?: boolean;
}
