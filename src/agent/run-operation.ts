import type { Operations, OperationsFor } from '../api/operations.ts';
import type { BackupResult } from '../engine/backup/backup.ts';
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

export interface OperationCall<T> {
  readonly operation: Operation;
  readonly reason: BackupReason | null;
  readonly work: (operations: Operations) => Promise<T>;
  /** When a failed one is tried again. */
  readonly retryAtMs?: () => number | null;
  /** Called at each phase. Before the first one, hooks run and the operation waits for others. */
  readonly onPhase?: () => void;
}

/** What an operation resolves to. */
export interface OperationResult {
  readonly type: string;
  /** Of the snapshot that it made, restored or found. */
  readonly id?: string;
}

/** Has one operation done, and emits its beginning, its end and what it cost. */
export type RunOperation = <T extends OperationResult>(call: OperationCall<T>) => Promise<T>;

export interface RunOperationOptions {
  readonly operationsFor: OperationsFor;
  readonly clock: Clock;
  readonly emit: (event: AgentEvent | DaemonEvent) => void;
  /** The store equals, or grew from, this snapshot. */
  readonly onSnapshot: (id: string) => void;
}

export function operationRunner({
  operationsFor,
  clock,
  emit,
  onSnapshot,
}: RunOperationOptions): RunOperation {
  return async ({ operation, reason, work, retryAtMs, onPhase }) => {
    let requests: RequestCounts = noRequests;
    let retries = 0;
    const startedAt = clock.monotonic();
    const costs = (): OperationCosts => ({ durationMs: clock.monotonic() - startedAt, requests, retries });
    const operations = operationsFor({
      emit: (event) => {
        if (event.type === 'retry') retries += 1;
        if (event.type === 'phase') onPhase?.();
        emit(event);
      },
      onRequests: (counts) => (requests = counts),
    });
    emit({ type: 'operation-started', operation, reason });
    try {
      const result = await work(operations);
      const parent = parentAfter(result);
      if (parent !== undefined) onSnapshot(parent);
      emit({
        type: 'operation-finished',
        operation,
        outcome: result.type,
        snapshot: madeBy(result),
        ...costs(),
      });
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

/** The snapshot that the store equals, or grew from, after a backup, a restore or a sync. */
function parentAfter({ type, id }: OperationResult): string | undefined {
  return ['committed', 'unchanged', 'too-soon', 'restored', 'equal'].includes(type) ? id : undefined;
}

function madeBy(result: OperationResult): SnapshotFacts | null {
  if (!isCommitted(result)) return null;
  const { id, bytes, records, uploadBytes, heldMs, longestHoldMs } = result;
  return { id, bytes, records, uploadBytes, heldMs, longestHoldMs };
}

function isCommitted(result: OperationResult): result is Extract<BackupResult, { type: 'committed' }> {
  return result.type === 'committed';
}

function errorFacts(error: unknown): ErrorFacts {
  return error instanceof SyncAgentError
    ? { code: error.code, message: error.message, remedy: error.remedy ?? null }
    : { code: 'INTERNAL', message: messageOf(error), remedy: null };
}
