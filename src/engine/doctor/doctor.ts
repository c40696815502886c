import type { ErrorCode } from '../../platform/errors.ts';
import type { Context } from '../context.ts';
import { readRemoteOrError } from '../status.ts';
import type { Check, DoctorCheck, RemoteFacts } from './check.ts';
import { runCheck } from './check.ts';
import { diskCheck } from './checks/disk-check.ts';
import { exclusionsCheck } from './checks/exclusions-check.ts';
import { homeCheck } from './checks/home-check.ts';
import { journalCheck } from './checks/journal-check.ts';
import { lineageCheck } from './checks/lineage-check.ts';
import { remarksCheck } from './checks/remarks-check.ts';
import { requestsCheck } from './checks/requests-check.ts';
import { serversCheck } from './checks/servers-check.ts';
import { snapshotsCheck } from './checks/snapshots-check.ts';
import { storeCheck } from './checks/store-check.ts';

/** What is looked at on this host. */
const localChecks: readonly Check[] = [
  homeCheck,
  journalCheck,
  storeCheck,
  exclusionsCheck,
  serversCheck,
  diskCheck,
];

/** What is looked at in a remote whose log was read. */
const remoteChecks: readonly Check<RemoteFacts>[] = [
  requestsCheck,
  remarksCheck,
  snapshotsCheck,
  lineageCheck,
];

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
 * Finds out by trying. Writes only probe objects under names of its own and removes them; the next rotation sweeps
 * what a crash leaves of them. No existing object and no file of the store is touched.
 */
export async function doctor(context: Context): Promise<DoctorReport> {
  const checks: DoctorCheck[] = [];
  for (const check of localChecks) checks.push(...(await runCheck(check, context)));
  const view = await readRemoteOrError(context);
  if ('snapshots' in view) {
    const detail = `${context.remote.location} can be listed and read`;
    checks.push({ name: 'read', status: 'ok', detail });
    for (const check of remoteChecks) checks.push(...(await runCheck(check, { context, view })));
  } else {
    // Nothing else would say more.
    const { code, message: detail, remedy } = view;
    checks.push({ name: 'read', status: 'fail', code, detail, remedy });
  }
  const codes = checks.filter(({ status }) => status === 'fail').map(({ code }) => code ?? 'INTERNAL');
  return { checks, worst: gravity.find((code) => codes.includes(code)) ?? codes[0] };
}
