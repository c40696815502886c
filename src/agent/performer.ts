import type { Clock } from '../platform/clock.ts';
import { SyncAgentError, messageOf } from '../platform/errors.ts';
import { noRequests } from '../platform/events.ts';
import type {
  AgentEvent,
  BackupReason,
  DaemonEvent,
  ErrorFacts,
  Operation,
  OperationCosts,
  RequestCounts,
  SnapshotFacts,
} from '../platform/events.ts';
import type { DaemonOperations, OperationsFor } from './daemon-operations.ts';

export interface Performance<T> {
  readonly operation: Operation;
  readonly reason: BackupReason | null;
  readonly work: (operations: DaemonOperations) => Promise<T>;
  readonly describe: (result: T) => {
    readonly outcome: string;
    readonly snapshot?: SnapshotFacts | undefined;
    /** The snapshot that the store equals now, if it equals one. */
    readonly equals?: string | undefined;
  };
  /** When a failed one is tried again. */
  readonly retryAtMs?: () => number | null;
  /** Its first phase has begun: what came before were hooks, and the wait for others. */
  readonly onBegun?: () => void;
}

/** Has one operation done, and tells of its beginning, its end and what it cost. */
export type Perform = <T>(performance: Performance<T>) => Promise<T>;

export function performer(
  operationsFor: OperationsFor,
  { clock, emit }: { readonly clock: Clock; readonly emit: (event: AgentEvent | DaemonEvent) => void },
): Perform {
  return async ({ operation, reason, work, describe, retryAtMs, onBegun }) => {
    let requests: RequestCounts = noRequests;
    let retries = 0;
    const startedAt = clock.monotonic();
    const costs = (): OperationCosts => ({ durationMs: clock.monotonic() - startedAt, requests, retries });
    const operations = operationsFor({
      emit: (event) => {
        if (event.type === 'retry') retries += 1;
        if (event.type === 'phase') onBegun?.();
        emit(event);
      },
      onRequests: (counts) => (requests = counts),
    });
    emit({ type: 'operation-started', operation, reason });
    try {
      const result = await work(operations);
      const { outcome, snapshot } = describe(result);
      emit({ type: 'operation-finished', operation, outcome, snapshot: snapshot ?? null, ...costs() });
      return result;
    } catch (error) {
      emit({
        type: 'operation-failed',
        operation,
        error: errorFacts(error),
        retryAtMs: retryAtMs?.() ?? null,
        ...costs(),
      });
      throw error;
    }
  };
}

export function errorFacts(error: unknown): ErrorFacts {
  return error instanceof SyncAgentError
    ? { code: error.code, message: error.message, remedy: error.remedy ?? null }
    : { code: 'INTERNAL', message: messageOf(error), remedy: null };
}
