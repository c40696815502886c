import type { LogView } from '../../log/commit-log.ts';
import type { ErrorCode } from '../../platform/errors.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { Context } from '../context.ts';

/** One line of the report. */
export interface DoctorCheck {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  /** What was found, one sentence without a final period. */
  readonly detail: string;
  readonly remedy?: string | undefined;
  /** Of a failed check: what a command would fail with. */
  readonly code?: ErrorCode | undefined;
}

/** What a check found. Its name is the check's, unless the check looks at several things. */
export type Finding = Omit<DoctorCheck, 'name'> & { readonly name?: string };

/** A remote whose log was read. */
export interface RemoteFacts {
  readonly context: Context;
  readonly view: LogView;
}

/** One thing that `doctor` tries. To add one, write such an object and put it into a list in `doctor.ts`. */
export interface Check<Facts = Context> {
  readonly name: string;
  /** An error that it rejects with is what a command would fail with: a failed check. */
  find(facts: Facts): Promise<readonly Finding[]>;
}

/** Carries out one check. Rejects only if the whole run is to end. */
export async function runCheck<Facts>(check: Check<Facts>, facts: Facts): Promise<readonly DoctorCheck[]> {
  const findings = await check.find(facts).catch((error: unknown) => [failedWith(error)]);
  return findings.map((finding) => ({ name: check.name, ...finding }));
}

/** An error as a finding, unless it ends the whole run. */
export function failedWith(error: unknown): Finding & { readonly status: 'fail' } {
  if (!(error instanceof SyncAgentError) || error.code === 'INTERRUPTED') throw error;
  return { status: 'fail', code: error.code, detail: error.message, remedy: error.remedy };
}
