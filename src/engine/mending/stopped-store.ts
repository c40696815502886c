import { SyncAgentError } from '../../platform/errors.ts';
import { storeExists } from '../../home/home.ts';
import { fingerprint } from '../../stores/content/fingerprint.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { ScanResult } from '../../stores/content/scan.ts';
import { usersText } from '../../stores/capture/in-use.ts';
import type { Context } from '../context.ts';

/** A store that nobody has open, as it was looked at. */
export interface StoppedStore {
  readonly scan: ScanResult;
  readonly fingerprint: string;
  /** In errors: repair, maintain, rebuild. */
  readonly action: string;
}

/** BUSY if somebody has the store open, NOT_FOUND if there is none, REFUSED if it holds what cannot be copied. */
export async function lookAtStopped(context: Context, action: string): Promise<StoppedStore> {
  const { home } = context;
  if (!(await storeExists(home))) {
    throw new SyncAgentError('NOT_FOUND', `Cannot ${action} "${home.store}": there is no store`, {
      remedy: 'Check --store',
    });
  }
  await assertStopped(context, action);
  const scan = await scanStore(home.store, home.exclude);
  const [oddity] = scan.oddities;
  if (oddity !== undefined) {
    throw new SyncAgentError(
      'REFUSED',
      `Cannot ${action} "${home.store}": of "${oddity.path}", ${oddity.problem}`,
      {
        remedy: 'Move it out of the store',
      },
    );
  }
  return { scan, fingerprint: fingerprint(scan), action };
}

/** BUSY if somebody has it open by now, or wrote to it since it was looked at. */
export async function assertStillStopped(context: Context, stopped: StoppedStore): Promise<void> {
  await assertUntouched(context, stopped);
  await assertStopped(context, stopped.action);
}

export async function assertUntouched({ home }: Context, stopped: StoppedStore): Promise<void> {
  if (fingerprint(await scanStore(home.store, home.exclude)) === stopped.fingerprint) return;
  throw new SyncAgentError(
    'BUSY',
    `Cannot ${stopped.action} "${home.store}": somebody began to write to it`,
    {
      remedy: 'Stop it first',
    },
  );
}

async function assertStopped({ home, findStoreUsers }: Context, action: string): Promise<void> {
  const users = await findStoreUsers(home.store);
  if (users.length === 0) return;
  const names = usersText(users);
  throw new SyncAgentError('BUSY', `Cannot ${action} "${home.store}": ${names} has it open`, {
    remedy: 'Stop it first',
  });
}
