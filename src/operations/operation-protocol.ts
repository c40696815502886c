import type { AgentSettings } from '../in-process/agent-settings.ts';
import type { Agent } from '../in-process/agent.ts';
import type { ErrorCode } from '../platform/errors.ts';
import type { AgentEvent, RequestCounts } from '../platform/events.ts';
import type { Hooks } from '../hooks/hook.ts';
import type { BackupTurn } from './backup-turn.ts';

/** What an operation process can be asked to do: the calls of an agent, and a scheduler's turn. */
export type Operations = Omit<Agent, 'foreseeSync' | 'requests' | 'counts' | 'close'> & {
  readonly backupTurn: BackupTurn;
};
export type OperationName = keyof Operations;

export interface OperationSettings extends AgentSettings {
  /** They run in the operation's process, around it. */
  readonly hooks?: Hooks | undefined;
}

/** To the process, first. `args` without a signal: aborting is a message of its own. */
export type Request =
  | {
      readonly type: 'run';
      readonly settings: OperationSettings;
      readonly operation: OperationName;
      readonly args: readonly unknown[];
    }
  | {
      readonly type: 'abort';
      readonly reason: string;
      /** Then it should have ended, milliseconds. */
      readonly leftMs: number;
    };

/** From the process: events as they happen, then one answer. */
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
