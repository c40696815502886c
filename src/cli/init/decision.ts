import type { DoctorReport } from '../../engine/doctor/doctor.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { InitAnswers, InitPlan } from './plan-init.ts';

/** Tries answers out. */
export type Examine = (answers: InitAnswers) => Promise<DoctorReport>;

/** What is to be done, and what trying it out showed; undefined where that was skipped. */
export interface Decision {
  readonly answers: InitAnswers;
  readonly plan: InitPlan;
  readonly report: DoctorReport | undefined;
}

/** Answers that were tried and do not work are not written. */
export function unfit(worst: NonNullable<DoctorReport['worst']>): SyncAgentError {
  return new SyncAgentError(
    worst,
    'Cannot set up: not everything that was tried works; nothing was written',
    {
      remedy: 'Mend what failed, change the answers, or add --skip-doctor',
    },
  );
}
