import { errnoOf, fromFileSystem, messageOf, SyncAgentError } from '../platform/errors.ts';
import { isDiskFull } from '../platform/disk-space.ts';
import type { Context } from './context.ts';

/**
 * Turns a failure of the local file system or of SQLite into an error that the reader can act on. A SyncAgentError and
 * a defect stay as they are. `action` starts the message: `Cannot back up "x"`.
 */
export async function explainFailure(
  error: unknown,
  action: string,
  { home, diskSpace }: Pick<Context, 'home' | 'diskSpace'>,
): Promise<unknown> {
  if (error instanceof SyncAgentError) return error;
  if (isDiskFull(error)) {
    const { freeBytes } = await diskSpace(home.dir);
    const free = `${freeBytes} bytes are free at "${home.dir}"`;
    return new SyncAgentError('DISK_FULL', `${action}: ${messageOf(error)}; ${free}`, {
      remedy: 'Free some space there, or raise the quota, and run it again',
      cause: error,
    });
  }
  const errno = errnoOf(error) ?? '';
  if (/^SQLITE_(READONLY|PERM|CANTOPEN)/.test(errno))
    return new SyncAgentError('DENIED', `${action}: ${messageOf(error)}`, { cause: error });
  // Node's own codes have an underscore: they are defects.
  return /^E[A-Z0-9]+$/.test(errno) ? fromFileSystem(error, action) : error;
}
