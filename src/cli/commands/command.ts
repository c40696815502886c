import type { Agent } from '../../api/agent.ts';
import type { Emit } from '../../platform/events.ts';
import type { Config } from '../../settings/settings.ts';
import type { Style } from '../../report/style.ts';
import type { GivenFlags } from '../flags.ts';

/** One command of the command line. Its module loads nothing heavy; `run` imports what it needs. */
export interface Command {
  readonly name: string;
  readonly describe: string;
  readonly positionals?: readonly Positional[];
  readonly options?: Readonly<Record<string, CommandOption>>;
  /** What follows "--", unparsed: `flags.list(name)`. */
  readonly rest?: Positional;
  /** The command handles signals itself; `signal` never aborts. */
  readonly ownsSignals?: boolean;
  /** The command answers a question: --quiet does not silence its result. */
  readonly isQuery: boolean;
  /** How long a call waits for another one that works on the store, milliseconds. Default 0. */
  readonly lockWaitMs?: number;
  /** Whether a remote must be configured. Default true. */
  needsRemote?(flags: GivenFlags): boolean;
  run(invocation: Invocation): Promise<Outcome>;
}

export interface Positional {
  readonly name: string;
  readonly describe: string;
  readonly isRequired: boolean;
  /** Takes all words that are left: `flags.list(name)`. Only the last one. */
  readonly isList?: boolean;
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
  /** The settings given as flags, by key, unparsed. */
  readonly given: Readonly<Record<string, unknown>>;
  readonly flags: GivenFlags;
  readonly signal: AbortSignal;
  readonly style: Style;
  /** Takes events, as the agent's own. */
  readonly emit: Emit;
  /** Prints a line on stderr, whatever the verbosity. */
  readonly say: (line: string) => void;
  /** Requests sent to the remote so far. */
  readonly requests: () => number;
  /** `sync-agent <words>` with this run's flags for store and remote, for a person to type. */
  readonly commandLine: (words: string) => string;
}

export interface Outcome {
  /** What --json prints. Null if stdout belongs to the supervised command. */
  readonly result: object | null;
  /** What people read. */
  readonly lines: readonly string[];
  /** Default 0. */
  readonly exitCode?: number;
  /** The process exits without waiting for anything that still runs. */
  readonly exitsAtOnce?: boolean;
}
