import { createHash } from 'node:crypto';
import { errnoOf, isSyncAgentError, SyncAgentError } from '../../platform/errors.ts';
import type { FileRead, FormatContext } from '../content-format.ts';
import { fetchFile } from './fetch-object.ts';
import { fetchRange } from './fetch-range.ts';
import type { ObjectRead } from './fetch-range.ts';
import { currentKey, keyOf } from './keys.ts';

/** A first mismatch may be the network's; a second one is the object's. */
const maxTries = 2;

/** If the snapshot's own object is missing or damaged, the current file may be right: its hash tells. */
export async function readFile(
  context: FormatContext,
  { to, ...read }: FileRead & { readonly to?: string },
): Promise<void> {
  const readFrom = (key: string): Promise<void> =>
    to === undefined ? verifyObject(context, { ...read, key }) : saveObject(context, { ...read, key, to });
  try {
    await readFrom(keyOf(read.snapshot, read.file));
  } catch (error) {
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
    const current = currentKey(read.file.path);
    try {
      await readFrom(current);
    } catch (second) {
      throw isSyncAgentError(second, 'SNAPSHOT_CORRUPT') ? error : second;
    }
    context.emit({
      type: 'warning',
      code: error.code,
      message: `${error.message}; the current file "${current}" is right, and was taken instead`,
      remedy: 'The next backup uploads what is missing; "sync-agent verify --all" tells what else is damaged',
    });
  }
}

export async function verifyFile(context: FormatContext, read: FileRead): Promise<void> {
  await verifyObject(context, { ...read, key: keyOf(read.snapshot, read.file) });
}

async function saveObject(context: FormatContext, read: ObjectRead & { readonly to: string }): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const found = await fetchFile(context, read).catch(async (error: unknown) => {
      await context.fs.remove(read.to);
      // Two names are one there: whoever compares the names says so.
      return errnoOf(error) === 'EEXIST' && tries < maxTries ? '' : orAgain(error, tries);
    });
    if (found === read.file.sha256) return;
    await context.fs.remove(read.to);
    if (tries === maxTries) throw damaged(read, found);
  }
}

async function verifyObject(context: FormatContext, read: ObjectRead): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const hash = createHash('sha256');
    const found = await fetchRange(context, read, undefined, async (chunk) => {
      hash.update(chunk);
    }).then(
      () => hash.digest('hex'),
      (error: unknown) => orAgain(error, tries),
    );
    if (found === read.file.sha256) return;
    if (tries === maxTries) throw damaged(read, found);
  }
}

/** A wrong length is tried again as a wrong hash is; an object that is missing is not. */
function orAgain(error: unknown, tries: number): string {
  if (tries < maxTries && isSyncAgentError(error, 'SNAPSHOT_CORRUPT') && error.cause === undefined) return '';
  throw error;
}

function damaged({ snapshot, file, key }: ObjectRead, found: string): SyncAgentError {
  return new SyncAgentError(
    'SNAPSHOT_CORRUPT',
    `Cannot restore snapshot ${snapshot.id}: object "${key}" is damaged, expected sha256 ${file.sha256}, found ${found}`,
  );
}
