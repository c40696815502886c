import type { Operations } from '../api/operations.ts';
import type { AgentSettings } from '../in-process/agent-settings.ts';
import type { ErrorCode } from '../platform/errors.ts';
import type { AgentEvent, RequestCounts } from '../platform/events.ts';
import type { Hooks } from '../hooks/hook.ts';

export type OperationName = keyof Operations;

export interface OperationSettings extends AgentSettings {
  /** They run in the operation's process, before and after it. */
  readonly hooks?: Hooks | undefined;
}

/** Messages to the process, `run` first. `args` have no signal: `abort` is a message of its own. */
export type Request =
  | {
      readonly type: 'run';
      readonly settings: OperationSettings;
      readonly operation: OperationName;
      readonly args: readonly unknown[];
      /** The program that asks, for the operation log. */
      readonly program: string;
    }
  | {
      readonly type: 'abort';
      readonly reason: string;
      /** How long it has to end, milliseconds. */
      readonly leftMs: number;
    };

/** Messages from the process: events as they happen, then one answer. */
export type Answer =
  | { readonly type: 'event'; readonly event: AgentEvent }
  | { readonly type: 'result'; readonly result: unknown; readonly requests: RequestCounts }
  | { readonly type: 'error'; readonly error: PlainError; readonly requests: RequestCounts };

/** A SyncAgentError on its way between processes. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string | undefined;
  readonly retryable: boolean;
  readonly outOfReach: boolean;
  readonly stack: string | undefined;
}

interface SplitArguments {
  readonly signal: AbortSignal | undefined;
  /** The last one is the call's options, always. */
  readonly plain: readonly unknown[];
}

/** A call's arguments without the signal in its options: no signal can be sent to a process. */
export function splitSignal(args: readonly unknown[]): SplitArguments {
  // Options that are undefined are none; left in, they would take the place of those that carry the signal.
  const given = args.slice(0, args.findLastIndex((each) => each !== undefined) + 1);
  const last = given.at(-1);
  if (typeof last !== 'object' || last === null) return { signal: undefined, plain: [...given, {}] };
  const { signal, ...rest } = last as { readonly signal?: AbortSignal };
  return { signal, plain: [...given.slice(0, -1), rest] };
}

/** The arguments on the other side, where the call has a signal again. */
export function withSignal(plain: readonly unknown[], signal: AbortSignal): readonly unknown[] {
  return [...plain.slice(0, -1), { ...(plain.at(-1) as object), signal }];
}
