import type { ErrorCode } from '../../platform/errors.ts';

export interface DoctorCheck {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  /** What was found, one sentence without a final period. */
  readonly detail: string;
  readonly remedy?: string | undefined;
  /** Of a failed check: what a command would fail with. */
  readonly code?: ErrorCode | undefined;
}
