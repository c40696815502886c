import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { totalBytes } from '../../log/manifest.ts';
import { builtStore } from '../../home/build-place.ts';
import { stagedData, stagingRoot } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';
import { isDiskFull } from '../../platform/disk-space.ts';
import { SyncAgentError, isSyncAgentError, messageOf, throwIfAborted } from '../../platform/errors.ts';
import { backup } from '../backup/backup.ts';
import { shrinkage } from '../backup/plan-backup.ts';
import { manifestOfParent } from '../backup/previous-snapshots.ts';
import { inPhase, newAttempt } from '../context.ts';
import type { Context } from '../context.ts';
import { lastKnownManifest } from '../known-manifests.ts';
import { diskFull } from '../mending/mended-copy.ts';
import { snapshotOfStore } from '../mending/snapshot-of-store.ts';
import { assertStillStopped, lookAtStopped } from '../mending/stopped-store.ts';
import { swapContinuing } from '../mending/swap-continuing.ts';
import { readRemote } from '../remote-log.ts';
import { snapshotContent } from '../snapshot-content.ts';
import { inspectAsItLies } from '../soundness/judge-store.ts';
import type { Looked } from '../soundness/judge-store.ts';
import { messagesOf } from '../soundness/soundness.ts';
import { assertFinished, lookAtBuild } from './look-at-build.ts';
import type { Build } from './look-at-build.ts';

export interface RebuildOptions {
  /** Accept a new store that has much less than the old one. */
  readonly allowShrink?: boolean | undefined;
  /** Keep no rollback copy of the old store. Its snapshot is made all the same. */
  readonly skipBackup?: boolean | undefined;
}

export interface RebuildResult {
  readonly type: 'rebuilt';
  /** The snapshot that holds the store as it was. The next one builds on it. */
  readonly snapshot: string;
  readonly files: number;
  readonly bytes: number;
  readonly records: number;
  /** Of the old store. */
  readonly bytesBefore: number;
  /** Name of the copy of the store as it was; undefined if none is kept. */
  readonly rollbackCopy: string | undefined;
}

/**
 * Checks what was built, makes a snapshot of the present store, and puts the new one in its place. The caller holds the locks of the store
 * and of the build, and has finished an interrupted restore.
 *
 *     1 check the build; snapshot of the store     crash: the old store, and a build that the next run removes
 *     2 build -> staging, made durable             crash: the old store, and garbage that the next run sweeps
 *     3 swap                                       crash: see `SwapRequest`
 *
 * The new store continues the old one: it has the same parents, and counts as written since. After BUSY the build is still there, and
 * the call can be made again.
 */
export async function placeBuild(
  context: Context,
  id: string,
  { allowShrink = false, skipBackup = false }: RebuildOptions = {},
): Promise<RebuildResult> {
  const { home, settings } = context;
  await lookAtStopped(context, 'rebuild');
  const build = await lookAtBuild(context, builtStore(home, id));
  const looked = await inPhase(context, 'validate', () => judge(context, build));
  const snapshot = await saveOld(context);
  const stopped = await lookAtStopped(context, 'rebuild');
  const shrunk = await findShrinkage(context, { ...looked, ...build, snapshot });
  if (shrunk !== undefined && !allowShrink) {
    throw new SyncAgentError(
      'REFUSED',
      `Cannot rebuild "${home.store}": of what was built, ${shrunk}; the store is as it was`,
      { remedy: 'If the loss is meant, use --allow-shrink' },
    );
  }
  const attempt = newAttempt();
  const data = stagedData(home, attempt);
  let rollbackCopy: string | undefined;
  try {
    await context.fs.makeDirectory(dirname(data));
    await assertFinished(context, build, build.dir);
    await context.fs.rename(build.dir, data);
    await makeDurable(context, build, data);
    await assertFinished(context, build, data);
    await assertStillStopped(context, stopped);
    const kept = { keepRollback: !skipBackup, rollbackCopies: settings.rollbackCopies };
    ({ rollbackCopy } = await swapContinuing(context, { attempt, ...kept }));
  } catch (error) {
    if ((await readJournal(home)) !== undefined) throw error;
    // Who waits until nobody has the store open tries again.
    if (isSyncAgentError(error, 'BUSY')) await context.fs.rename(data, build.dir).catch(() => undefined);
    throw isDiskFull(error) ? await diskFull(context, 'rebuild', error) : error;
  } finally {
    // Once there is a journal, staging is the new store: only `recover` of the next run may touch it.
    if ((await readJournal(home)) === undefined) await context.fs.remove(stagingRoot(home));
  }
  if (shrunk !== undefined) await saveShrunk(context);
  return {
    type: 'rebuilt',
    snapshot,
    files: build.scan.files.length,
    bytes: totalBytes(build.scan.files),
    records: looked.records,
    bytesBefore: totalBytes(stopped.scan.files),
    rollbackCopy,
  };
}

/** As a backup checks an image. Rejects with STORE_CORRUPT. */
async function judge(context: Context, { dir }: Build): Promise<Looked> {
  const { home, settings, emit } = context;
  const looked = await inspectAsItLies(context, dir, {
    parent: await lastKnownManifest(context),
    level: settings.validation,
    scratch: join(stagingRoot(home), 'scratch'),
  });
  for (const { message, remedy } of looked.findings)
    emit({ type: 'warning', code: 'NOTICE', message, ...(remedy === undefined ? {} : { remedy }) });
  if (looked.damage.length === 0) return looked;
  throw new SyncAgentError(
    'STORE_CORRUPT',
    `Cannot rebuild "${home.store}": what was built is damaged: ${messagesOf(looked.damage)}; the store is as it was`,
    { remedy: 'Let the command close its databases before it ends' },
  );
}

/** The snapshot that the store equals. Without one, nothing is replaced. */
async function saveOld(context: Context): Promise<string> {
  try {
    // It asks the remote, and mends a snapshot that is not whole.
    await backup(context);
    return await snapshotOfStore(context, 'rebuild');
  } catch (error) {
    if (!isSyncAgentError(error) || error.code === 'INTERRUPTED') throw error;
    const { code, remedy, retryable, outOfReach } = error;
    throw new SyncAgentError(
      code,
      `Cannot rebuild "${context.home.store}": no snapshot of it could be made first: ${messageOf(error)}`,
      { cause: error, retryable, outOfReach, ...(remedy === undefined ? {} : { remedy }) },
    );
  }
}

/** Why the new store is less than it should be. */
async function findShrinkage(
  context: Context,
  { snapshot, scan, adapter, records }: Build & Looked & { readonly snapshot: string },
): Promise<string | undefined> {
  const known =
    (await lastKnownManifest(context)) ??
    (await manifestOfParent(context, await readRemote(context), snapshot));
  // What could still be read of a damaged store says nothing about how much was in it.
  if (known === undefined || known.damage !== undefined) return undefined;
  const base = snapshotContent(known, context.home.exclude);
  return shrinkage({ adapter, files: scan.files, statistics: { records } }, base, context.settings.maxShrink);
}

/** What the builder made gets the mode of the store and, from root, its owner; and all is synced. */
async function makeDurable({ home, fs, signal }: Context, { scan }: Build, dir: string): Promise<void> {
  const { mode, uid, gid } = await lstat(home.store);
  const isRoot = process.geteuid?.() === 0;
  const give = async (path: string): Promise<void> => {
    throwIfAborted(signal, 'Flushing the new store');
    if (isRoot) await fs.setAttributes(join(dir, path), { owner: { uid, gid } });
    if (path === '') await fs.setAttributes(dir, { mode: mode & 0o7777 });
    await fs.sync(join(dir, path));
  };
  for (const { path } of scan.files) await give(path);
  for (const { path } of scan.directories.toReversed()) await give(path);
  await fs.sync(dirname(dir));
}

/** Later backups would refuse a store that shrank, so this one is made at once. If it fails, a person sees why. */
async function saveShrunk(context: Context): Promise<void> {
  const { emit } = context;
  try {
    await backup(context, { allowShrink: true });
  } catch (error) {
    if (!isSyncAgentError(error)) throw error;
    emit({
      type: 'warning',
      code: error.code,
      message: `The new store has no snapshot yet: ${error.message}`,
      remedy: 'Run "sync-agent backup --allow-shrink"',
    });
  }
}
