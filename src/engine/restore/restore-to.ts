import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SyncAgentError } from '../../platform/errors.ts';
import { totalBytes } from '../../log/manifest.ts';
import type { Manifest } from '../../log/manifest.ts';
import { foreignNames } from '../../stores/content/foreign.ts';
import { stagedData, stagingRoot, storeExists } from '../../home/home.ts';
import type { Home } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';
import type { AppliedLog } from '../continuous/apply-log.ts';
import { newAttempt } from '../context.ts';
import type { Context } from '../context.ts';
import { manifestOf, readRemote } from '../remote-log.ts';
import { diskFull, spareBytes } from './disk-shortage.ts';
import { snapshotContent } from '../snapshot-content.ts';
import { downloadSnapshot } from './download/download-snapshot.ts';
import type { SnapshotDownload } from './download/download-snapshot.ts';
import { chooseSnapshot, snapshotAt } from '../history/choose-snapshot.ts';

export interface RestoreToResult {
  readonly type: 'restored-to';
  readonly id: string;
  readonly dir: string;
  readonly files: number;
  readonly bytes: number;
  readonly records: number;
  /** What the snapshot's log added. Absent if it has none, or if the snapshot was named. */
  readonly log?: AppliedLog;
}

export interface AsideOptions {
  /** As for a restore. A snapshot that is named is meant as it is, without its log. */
  readonly snapshot?: string;
  /** A moment, milliseconds since the epoch: of `snapshot`, or else of the newest one before it, with its log up to there. */
  readonly atMs?: number;
  /**
   * The log of a snapshot that is named: all of it, so many segments, or with `of-tip` all of it unless another snapshot went on from
   * this one. Default: none of it.
   */
  readonly log?: 'whole' | 'of-tip' | { readonly upTo: number } | undefined;
}

/** What came into the directory. */
export interface PlacedAside {
  readonly manifest: Manifest;
  readonly log: AppliedLog | undefined;
}

/** Restores a snapshot into a directory of its own, as `placeSnapshotAside`, and says what came. */
export async function restoreTo(context: Context, options: AsideOptions = {}): Promise<RestoreToResult> {
  const { manifest, log } = await placeSnapshotAside(context, options);
  const { id, files, statistics } = manifest;
  return {
    ...(log === undefined ? {} : { log }),
    type: 'restored-to',
    id,
    dir: context.home.store,
    files: files.length,
    bytes: totalBytes(files),
    records: statistics.records,
  };
}

/**
 * Restores a snapshot into a directory of its own, for a look or a test. `context.home` is that directory's. It must be
 * missing or empty. The files appear completely or not at all, and have no lineage.
 */
export async function placeSnapshotAside(
  context: Context,
  { snapshot, atMs, log }: AsideOptions = {},
): Promise<PlacedAside> {
  await assertFree(context);
  const view = await readRemote(context);
  const entries = view.snapshots.map(({ entry }) => entry);
  const isByTime = atMs !== undefined && snapshot === undefined;
  const chosen = isByTime ? snapshotAt(entries, atMs) : chooseSnapshot(entries, snapshot);
  const manifest = snapshotContent(await manifestOf(context, view, chosen));
  const isNamed = snapshot !== undefined && snapshot !== 'latest' && atMs === undefined;
  const isTip = !entries.some(({ parent }) => parent === chosen.id);
  const isAlone = isNamed && (log === undefined || (log === 'of-tip' && !isTip));
  const upTo = typeof log === 'object' ? log.upTo : undefined;
  return placeAside(context, manifest, isAlone ? {} : { log: { of: manifest, untilMs: atMs, upTo } });
}

/** The same for a manifest that was read, from the remote or from `reader`. */
export async function placeAside(
  context: Context,
  manifest: Manifest,
  how: Pick<SnapshotDownload, 'reader' | 'log'> = {},
): Promise<PlacedAside> {
  const { home, fs } = context;
  await assertFree(context);
  const isOurs = await stat(home.dir).then(
    () => false,
    () => true,
  );
  const needed = totalBytes(manifest.files);
  const { freeBytes } = await context.diskSpace(home.store);
  if (freeBytes < needed + spareBytes) {
    const instead = 'name a directory on another disk';
    throw diskFull(manifest, { freeBytes, spareBytes, where: `at "${home.store}"`, instead });
  }
  const attempt = newAttempt();
  const data = stagedData(home, attempt);
  try {
    const { log } = await downloadSnapshot(context, {
      manifest,
      data,
      attempt,
      reuseFrom: undefined,
      ...how,
    });
    if (home.swap === 'rename' && (await foreignNames(home.store)).size === 0) {
      await fs.makeDirectory(dirname(home.store), { mode: 0o755 });
      await fs.rename(data, home.store);
      await fs.sync(dirname(home.store));
    } else {
      for (const name of await readdir(data)) await fs.rename(`${data}/${name}`, `${home.store}/${name}`);
      await fs.sync(home.store);
    }
    return { manifest, log };
  } finally {
    await fs.remove(isOurs ? home.dir : join(stagingRoot(home), attempt));
  }
}

/** There is nothing that the snapshot would replace. */
async function assertFree({ home }: Context): Promise<void> {
  await assertEmpty(home);
  if ((await readJournal(home)) === undefined) return;
  throw new SyncAgentError('REFUSED', `Cannot restore to "${home.store}": a restore was interrupted in it`, {
    remedy: 'Run "sync-agent restore" for that store, or name a new directory',
  });
}

async function assertEmpty(home: Home): Promise<void> {
  if (await storeExists(home)) {
    const dir = home.store;
    throw new SyncAgentError('REFUSED', `Cannot restore to "${dir}": it is not empty`, {
      remedy: 'Name a new directory',
    });
  }
}
