import { randomBytes } from 'node:crypto';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SyncAgentError, errnoOf, fromFileSystem } from '../../platform/errors.ts';
import { textOf } from './init-facts.ts';
import type { FileWrite } from './plan-init.ts';

/**
 * Writes the files one after the other, each atomically: a crash leaves every file as it was or as it is to be. BUSY,
 * with nothing written, if somebody changed one of them after the plan was made.
 */
export async function writePlan(writes: readonly FileWrite[]): Promise<void> {
  for (const { path, before } of writes) {
    if ((await textOf(path)) === before) continue;
    throw new SyncAgentError('BUSY', `Cannot write "${path}": it has changed in the meantime`, {
      remedy: 'Run "sync-agent init" again',
    });
  }
  for (const write of writes) {
    try {
      await replaceFile(write);
    } catch (error) {
      throw fromFileSystem(error, `Cannot write "${write.path}"`);
    }
  }
}

async function replaceFile({ path, before, after }: FileWrite): Promise<void> {
  // A link stays a link; its target is replaced.
  const target = before === undefined ? path : await realpath(path);
  const mode = before === undefined ? 0o666 : (await stat(target)).mode & 0o777;
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(4).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      if (before !== undefined) await file.chmod(mode);
      await file.writeFile(after, 'utf8');
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') await rm(temporary, { force: true });
    throw error;
  }
}
