import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SyncAgentError, fromFileSystem } from '../../platform/errors.ts';
import { totalBytes } from '../../log/manifest.ts';
import { writeNewFile } from '../../platform/file-system.ts';
import { storeExists } from '../../home/home.ts';
import { scanStore } from '../../stores/content/scan.ts';
import { newAttempt } from '../context.ts';
import type { Context } from '../context.ts';
import type { DoctorCheck } from './doctor-check.ts';
import { inspectAsItLies } from '../soundness/judge-store.ts';
import { knownParent } from '../known-manifests.ts';
import { describeJournal } from '../status.ts';
import { describeTwins, describeUsers } from './twin-servers.ts';

/** Whether lock, state and staging can be written where they belong. */
export async function checkHome({ home, fs, clock }: Context): Promise<DoctorCheck> {
  const name = 'home';
  // A directory beside the home, not in it: making the home itself would leave a trace.
  const probe = `${home.dir}.doctor-${clock.randomHex(4)}`;
  try {
    await fs.makeDirectory(probe);
    try {
      await writeNewFile(fs, join(probe, 'probe'), 'probe');
    } finally {
      await fs.remove(probe);
    }
    return { name, status: 'ok', detail: `"${home.dir}" can be written` };
  } catch (thrown) {
    const error = fromFileSystem(thrown, `Cannot write where "${home.dir}" belongs`);
    return failed(
      name,
      error,
      'Let this user write there: lock, state, staging and rollback copies live in it',
    );
  }
}

export async function checkJournal(context: Context): Promise<DoctorCheck> {
  const journal = await describeJournal(context);
  if (journal === undefined) return { name: 'journal', status: 'ok', detail: 'no restore was interrupted' };
  return {
    name: 'journal',
    status: journal.isIncomplete ? 'fail' : 'warn',
    detail: journal.text,
    ...(journal.isIncomplete
      ? { code: 'STORE_CORRUPT', remedy: 'Run "sync-agent restore"; do not start the application before' }
      : {}),
  };
}

/** What the store is and, when nobody has it open, whether it is sound. */
export async function checkStore(context: Context): Promise<readonly DoctorCheck[]> {
  const { home, findStoreUsers } = context;
  const name = 'store';
  if (!(await storeExists(home))) {
    return [
      {
        name,
        status: 'warn',
        detail: `there is nothing at "${home.store}"`,
        remedy: 'Check --store, or run "sync-agent restore"',
      },
    ];
  }
  const adapter = await context.detectAdapter(home.store);
  const users = await findStoreUsers(home.store);
  if (users.length > 0) {
    const detail = `${adapter.name}, in use by ${describeUsers(users)}: not inspected`;
    return [
      {
        name,
        status: 'ok',
        detail,
        remedy: '"sync-agent backup --dry-run --force" captures and checks it while it is in use',
      },
    ];
  }
  try {
    const looked = await inspectAsItLies(context, home.store, {
      parent: await knownParent(context),
      level: context.settings.validation,
      // Staging belongs to who has the lock.
      scratch: join(tmpdir(), `sync-agent-${newAttempt()}`),
    });
    const { damage, findings } = looked;
    const remedy = '"sync-agent restore --force" brings the newest snapshot back';
    const told = findings.map((finding) => ({
      name,
      status: 'warn' as const,
      detail: finding.message,
      ...(finding.remedy === undefined ? {} : { remedy: finding.remedy }),
    }));
    if (damage.length === 0) {
      const detail = `${looked.adapter}, sound, ${looked.records} records`;
      return [{ name, status: 'ok', detail }, ...told];
    }
    const failures = damage.map(({ message }) => ({
      name,
      status: 'fail' as const,
      code: 'STORE_CORRUPT' as const,
      detail: message,
      remedy,
    }));
    return [...failures, ...told];
  } catch (error) {
    if (!(error instanceof SyncAgentError) || error.code === 'INTERRUPTED') throw error;
    return [failed(name, error)];
  }
}

/** Two servers on one Chroma directory lose vectors, for example. SQLite arbitrates between writers of plain databases. */
export async function checkServers({ home, detectAdapter, findStoreUsers }: Context): Promise<DoctorCheck> {
  const name = 'servers';
  const users = await findStoreUsers(home.store);
  const detail = describeTwins(users);
  if (detail === undefined) {
    return {
      name,
      status: 'ok',
      detail: users.length === 0 ? 'no process has the store open' : `${users.length} has the store open`,
    };
  }
  const { remedyForTwoServers: remedy } = await detectAdapter(home.store);
  if (remedy === undefined) return { name, status: 'ok', detail };
  return { name, status: 'fail', code: 'BUSY', detail, remedy };
}

/** A backup needs room for an image of the store, a restore for the snapshot beside it. */
export async function checkDisk({ home, diskSpace }: Context): Promise<DoctorCheck> {
  const name = 'disk';
  const { freeBytes } = await diskSpace(home.store);
  const needed = (await storeExists(home))
    ? totalBytes((await scanStore(home.store, home.exclude)).files)
    : 0;
  const detail = `${inMiB(freeBytes)} are free, the store has ${inMiB(needed)}`;
  if (freeBytes >= 2 * needed) return { name, status: 'ok', detail };
  if (freeBytes >= needed)
    return { name, status: 'warn', detail, remedy: 'Free some space before the store grows' };
  return {
    name,
    status: 'fail',
    code: 'DISK_FULL',
    detail,
    remedy: 'Free some space: a backup stages an image of the store',
  };
}

const inMiB = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;

export function failed(name: string, error: SyncAgentError, remedy = error.remedy): DoctorCheck {
  return { name, status: 'fail', code: error.code, detail: error.message, remedy };
}
