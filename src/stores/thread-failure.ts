import { SyncAgentError } from '../platform/errors.ts';
import type { ErrorCode } from '../platform/errors.ts';

/** An error on its way between threads. It would lose its class there, so its fields are sent. */
export interface ThreadFailure {
  readonly type: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string | undefined;
  readonly stack: string | undefined;
}

export function failureOf({ code, message, remedy, stack }: SyncAgentError): ThreadFailure {
  return { type: 'error', code, message, remedy, stack };
}

/** Its cause is the stack in the other thread. */
export function errorOf({ code, message, remedy, stack }: ThreadFailure): SyncAgentError {
  return new SyncAgentError(code, message, { cause: stack, ...(remedy === undefined ? {} : { remedy }) });
}
