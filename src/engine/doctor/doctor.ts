import type { ErrorCode } from '../../platform/errors.ts';
import type { Context } from '../context.ts';
import type { DoctorCheck } from './doctor-check.ts';
import { checkDisk, checkHome, checkJournal, checkServers, checkStore } from './doctor-local.ts';
import { checkLeftAlone } from './doctor-left-alone.ts';
import { checkRemote } from './doctor-remote.ts';

export interface DoctorReport {
  readonly checks: readonly DoctorCheck[];
  /** The gravest code among failed checks; undefined when none failed. */
  readonly worst: ErrorCode | undefined;
}

/** The gravest first: damaged data, then what stops every command, then what stops some. */
const gravity: readonly ErrorCode[] = [
  'STORE_CORRUPT',
  'SNAPSHOT_CORRUPT',
  'TOO_NEW',
  'DIVERGED',
  'DENIED',
  'NOT_FOUND',
  'REMOTE_UNREACHABLE',
  'DISK_FULL',
  'BUSY',
  'REFUSED',
];

/**
 * Finds out by trying. Writes only probe objects under names of its own and removes them; what a crash leaves of them
 * the next rotation sweeps. No existing object and no file of the store is touched.
 */
export async function doctor(context: Context): Promise<DoctorReport> {
  const checks = [
    await checkHome(context),
    await checkJournal(context),
    ...(await checkStore(context)),
    ...(await checkLeftAlone(context)),
    await checkServers(context),
    await checkDisk(context),
    ...(await checkRemote(context)),
  ].flat();
  const codes = checks.filter(({ status }) => status === 'fail').map(({ code }) => code ?? 'INTERNAL');
  return { checks, worst: gravity.find((code) => codes.includes(code)) ?? codes[0] };
}
