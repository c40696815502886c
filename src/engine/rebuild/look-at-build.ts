import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SyncAgentError } from '../../platform/errors.ts';
import { mountsBelow } from '../../platform/mounts.ts';
import { placementFingerprint } from '../../stores/content/fingerprint.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { ScanResult } from '../../stores/content/scan.ts';
import { usersText } from '../../stores/capture/in-use.ts';
import type { Context } from '../context.ts';

/** What was built, as it was looked at. */
export interface Build {
  readonly dir: string;
  readonly scan: ScanResult;
}

/**
 * BUSY if a process has a file of the build open, NOT_FOUND if the directory is gone, REFUSED if it is empty or holds what cannot become
 * a store.
 */
export async function lookAtBuild(context: Context, dir: string): Promise<Build> {
  const { home } = context;
  const refused = (why: string, remedy: string): SyncAgentError =>
    new SyncAgentError('REFUSED', `Cannot rebuild "${home.store}": ${why}; the store is as it was`, {
      remedy,
    });
  const stats = await lstat(dir).catch(() => undefined);
  if (stats === undefined) {
    throw new SyncAgentError(
      'NOT_FOUND',
      `Cannot rebuild "${home.store}": the directory of the build is gone: "${dir}"`,
    );
  }
  const above = await lstat(dirname(dir));
  if (!stats.isDirectory() || stats.dev !== above.dev || (await mountsBelow(dirname(dir))).length > 0)
    throw refused(`"${dir}" is not the directory that was made`, 'Build in it, and not in another place');
  await assertClosed(context, dir);
  const scan = await scanStore(dir, home.exclude);
  const [oddity] = scan.oddities;
  if (oddity !== undefined)
    throw refused(`of "${oddity.path}", ${oddity.problem}`, 'Build a store without it');
  if (scan.files.length === 0)
    throw refused('nothing was built', 'Let the command build in $SYNC_AGENT_BUILD_DIR');
  for (const { path } of scan.files) {
    // The other name may be in the present store, or in its rollback copy.
    if ((await lstat(join(dir, path))).nlink === 1) continue;
    throw refused(`"${path}" of the build is a hard link`, 'Build with copies of files');
  }
  return { dir, scan };
}

/** BUSY if somebody has the build open, or wrote to it since it was looked at. `dir`: where it is now. */
export async function assertFinished(context: Context, { scan }: Build, dir: string): Promise<void> {
  await assertClosed(context, dir);
  const { home } = context;
  if (placementFingerprint(await scanStore(dir, home.exclude)) === placementFingerprint(scan)) return;
  throw new SyncAgentError(
    'BUSY',
    `Cannot rebuild "${home.store}": somebody still writes to the build; the store is as it was`,
    { remedy: 'Let the command end only when all that it started has ended' },
  );
}

async function assertClosed({ home, findStoreUsers }: Context, dir: string): Promise<void> {
  const users = await findStoreUsers(dir);
  if (users.length === 0) return;
  const names = usersText(users);
  throw new SyncAgentError(
    'BUSY',
    `Cannot rebuild "${home.store}": ${names} still has the build open; the store is as it was`,
    { remedy: 'Let whoever builds close its files before it ends' },
  );
}
