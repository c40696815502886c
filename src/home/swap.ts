import { dirname, join } from 'node:path';
import { SyncAgentError, errnoOf, fromFileSystem } from '../platform/errors.ts';
import { carryOver } from './carry-over.ts';
import { isDiskFull } from '../platform/disk-space.ts';
import { isExcluded, noExclusions } from '../stores/content/exclusions.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { fingerprint, placementFingerprint, storeIdentity } from '../stores/content/fingerprint.ts';
import type { Home } from './home.ts';
import { rollbackRoot, stagingRoot } from './home.ts';
import { settleInnerMounts } from './inner-mounts.ts';
import { readJournal, removeJournal, writeJournal } from './journal.ts';
import type { ReplaceJournal, SwapJournal } from './journal.ts';
import { freePlace, lstatOrNone, moveIn, moveOut, namesIn } from './move-entries.ts';
import type { Move } from './move-entries.ts';
import { pruneRollbackCopies } from './rollback-copies.ts';
import { foreignNames } from '../stores/content/foreign.ts';
import { homeInsideStore, scanStore } from '../stores/content/scan.ts';
import { noRemoteState, writeState } from './state.ts';

/**
 * The swap puts a staged store in the place of the present one. It is one journaled operation:
 *
 *     staging complete and on disk
 *       1 journal written              crash before: the old store, and garbage that the next run sweeps
 *       2 old store -> rollback copy   crash before: the old store; the next run forgets the swap
 *       3 staged data -> store         crash before: no store, but a journal that puts the new one there
 *       4 state written                crash before: the new store; the next run goes on here
 *       5 journal removed              crash before: the new store; done again to the same effect
 *
 * Before the journal is written it is tried out whether the store can be renamed at all; a lower layer of an overlay, or a
 * directory of somebody else, cannot. Then, and where the store is a mount point, or has other mounts or foreign entries in
 * it that must stay, 2 and 3 move its entries, each by a rename, and the journal says which of the two is under way:
 *
 *     2 `out`  entries -> rollback copy    crash: goes on
 *     3 `in`   staged entries -> store     crash: goes on
 *
 * A move that fails, whatever the reason, turns the swap round: 3 is undone (`undo-in`), then 2 (`undo-out`), under the same
 * journal, and everything is as it was. If even that fails, the journal stays for the next run.
 */
export interface SwapRequest {
  /** Where the new store is: staged, or an older rollback copy. */
  readonly from: SwapJournal['from'];
  /** Name for the rollback copy. */
  readonly rollback: string;
  readonly keepRollback: boolean;
  /** How many rollback copies stay. */
  readonly rollbackCopies: number;
  readonly location: string;
  readonly parent: SwapJournal['parent'];
  /** Snapshots that this one was chosen over. */
  readonly settled: readonly string[];
  /** Even if nothing is written: no fingerprint, so that the next backup asks the remote. */
  readonly isCommitDue: boolean;
}

export const stagedData = (home: Home, attempt: string): string => join(stagingRoot(home), attempt, 'data');

const dataOf = (home: Home, { from }: Pick<SwapJournal, 'from'>): string =>
  from.type === 'staging' ? stagedData(home, from.name) : join(rollbackRoot(home), from.name);

export async function swapIn(fs: FileSystem, home: Home, request: SwapRequest): Promise<void> {
  const data = dataOf(home, request);
  const mounts = await settleInnerMounts(fs, {
    store: home.store,
    data,
    ours: (path) => path === homeInsideStore || isExcluded(home.exclude ?? noExclusions, path, true),
  });
  const byEntries =
    home.swap === 'entries' || mounts.length > 0 || !(await canBeRenamed(fs, home.store, dirname(data)));
  const kept = [...mounts, ...(await carryOver(fs, home, { data, byEntries }))];
  const way = byEntries || kept.length > 0 ? 'entries' : 'rename';
  if (way === 'entries') await assertMovable(home, kept);
  const { rollbackCopies, isCommitDue, ...rest } = request;
  const journal: SwapJournal = {
    format: 1,
    type: 'swap',
    ...rest,
    settled: [...request.settled],
    way,
    kept,
    ...(way === 'entries' ? { phase: 'out' as const } : {}),
    entries: (await namesIn(data)).length,
    placement: isCommitDue ? '' : placementFingerprint(await scanStore(data, home.exclude)),
  };
  await writeJournal(fs, home, journal);
  await carryOut(fs, home, journal, rollbackCopies);
}

/**
 * Finishes or forgets what an interrupted run left, and sweeps its staging. Resolves to the journal of an
 * interrupted replacement, which only a restore from the remote can finish: until then the store is incomplete.
 */
export async function recover(
  fs: FileSystem,
  home: Home,
  options: { readonly rollbackCopies: number },
): Promise<ReplaceJournal | undefined> {
  const journal = await readJournal(home);
  if (journal?.type === 'swap') {
    if (await hasBegun(home, journal)) await carryOut(fs, home, journal, options.rollbackCopies);
    else await removeJournal(fs, home);
  }
  await fs.remove(stagingRoot(home));
  return journal?.type === 'replace' ? journal : undefined;
}

async function hasBegun(home: Home, journal: SwapJournal): Promise<boolean> {
  if (journal.phase !== undefined && journal.phase !== 'out') return true;
  if ((await lstatOrNone(asideOf(home, journal))) !== undefined) return true;
  const kept = journal.kept ?? [];
  const staged = (await namesIn(dataOf(home, journal))).filter((name) => !kept.includes(name));
  if (staged.length < journal.entries) return true;
  return (await storeNames(home, kept)).length === 0;
}

async function carryOut(
  fs: FileSystem,
  home: Home,
  journal: SwapJournal,
  rollbackCopies: number,
): Promise<void> {
  if (!(await place(fs, home, journal))) return;
  const scan = await scanStore(home.store, home.exclude);
  const isUntouched = placementFingerprint(scan) === journal.placement;
  await writeState(fs, home, {
    format: 1,
    identity: await storeIdentity(home.store),
    remotes: {
      [journal.location]: {
        ...noRemoteState,
        parent: journal.parent,
        settled: journal.settled,
        fingerprint: isUntouched ? fingerprint(scan) : null,
      },
    },
  });
  await removeJournal(fs, home);
  await fs.remove(stagingRoot(home));
  if (journal.from.type === 'rollback') await fs.remove(dataOf(home, journal));
  if (!journal.keepRollback) await fs.remove(asideOf(home, journal));
  await pruneRollbackCopies(fs, home, rollbackCopies);
}

/** Steps 2 and 3, or, where an earlier run had turned round, none of them: false. */
async function place(fs: FileSystem, home: Home, journal: SwapJournal): Promise<boolean> {
  const way = journal.way ?? home.swap;
  return way === 'rename'
    ? swapWhole(fs, home, journal)
    : swapEntries(fs, home, await withPhase(fs, home, journal));
}

async function swapWhole(fs: FileSystem, home: Home, journal: SwapJournal): Promise<boolean> {
  const data = dataOf(home, journal);
  if ((await lstatOrNone(data)) === undefined) return true;
  let aside: string | undefined;
  if ((await lstatOrNone(home.store)) === undefined) {
    await fs.makeDirectory(dirname(home.store), { mode: 0o755 });
  } else {
    aside = await freePlace(asideOf(home, journal));
    await fs.makeDirectory(dirname(aside));
    try {
      await fs.rename(home.store, aside);
    } catch (error) {
      if (!cannotBeRenamed.includes(errnoOf(error) ?? ''))
        return giveUp(fs, home, error, async () => undefined);
      // Nothing has happened yet: the other way, then.
      return swapEntries(fs, home, await inPhase(fs, home, { ...journal, way: 'entries' }, 'out'));
    }
    await fs.sync(dirname(aside));
  }
  try {
    await fs.rename(data, home.store);
  } catch (error) {
    await giveUp(fs, home, error, async () => {
      if (aside !== undefined) await fs.rename(aside, home.store);
    });
  }
  await fs.sync(dirname(home.store));
  return true;
}

/** A lower layer of an overlay; a mount point that only the kernel sees; a directory that is somebody else's, or immutable. */
const cannotBeRenamed: readonly string[] = ['EXDEV', 'EBUSY', 'EPERM', 'EACCES'];

/**
 * Whether a directory can be renamed, found out without renaming it: `onto` is a directory that is not empty, which nothing can
 * take the place of (rename(2), ENOTEMPTY or EEXIST). What is in the way of any rename is told before that.
 */
async function canBeRenamed(fs: FileSystem, path: string, onto: string): Promise<boolean> {
  try {
    await fs.rename(path, onto);
    return true;
  } catch (error) {
    return !cannotBeRenamed.includes(errnoOf(error) ?? '');
  }
}

async function swapEntries(fs: FileSystem, home: Home, begun: SwapJournal): Promise<boolean> {
  let journal = begun;
  try {
    if (journal.phase === 'out') {
      await moveOut(fs, { from: home.store, to: asideOf(home, journal), ...(await staying(home, journal)) });
      journal = await inPhase(fs, home, journal, 'in');
    }
    if (journal.phase === 'in') {
      const { data, aside } = { data: dataOf(home, journal), aside: asideOf(home, journal) };
      await moveIn(fs, { from: data, to: home.store, aside, ...(await staying(home, journal)) });
      return true;
    }
  } catch (error) {
    const failed = journal;
    await giveUp(fs, home, error, () => goBack(fs, home, failed));
  }
  await goBack(fs, home, journal);
  await removeJournal(fs, home);
  return false;
}

/** Undoes what was moved, from wherever it was turned round. */
async function goBack(fs: FileSystem, home: Home, failed: SwapJournal): Promise<void> {
  let journal = failed;
  const staged = join(dataOf(home, journal), '');
  if (journal.phase === 'in') journal = await inPhase(fs, home, journal, 'undo-in');
  if (journal.phase === 'undo-in') {
    await moveOut(fs, { from: home.store, to: staged, ...(await staying(home, journal)) });
  }
  if (journal.phase !== 'undo-out') journal = await inPhase(fs, home, journal, 'undo-out');
  const aside = asideOf(home, journal);
  await moveIn(fs, {
    from: aside,
    to: home.store,
    aside: join(stagingRoot(home), 'aside'),
    fillsAll: true,
    ...(await staying(home, journal)),
  });
  await fs.remove(aside);
}

/** Turns back; then everything is as it was, or, if that fails too, the journal stays. Always throws. */
async function giveUp(
  fs: FileSystem,
  home: Home,
  reason: unknown,
  back: () => Promise<void>,
): Promise<never> {
  const action = `Cannot replace "${home.store}"`;
  try {
    await back();
    await removeJournal(fs, home);
  } catch {
    throw reason;
  }
  if (isDiskFull(reason)) throw reason;
  const { code, message, remedy, cause } = fromFileSystem(reason, action);
  throw new SyncAgentError(code, `${message}; everything is as it was`, {
    cause,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

async function inPhase(
  fs: FileSystem,
  home: Home,
  journal: SwapJournal,
  phase: NonNullable<SwapJournal['phase']>,
): Promise<SwapJournal> {
  const next = { ...journal, phase };
  await writeJournal(fs, home, next);
  return next;
}

/** An older version wrote no phase: once the first new entry was in, whatever else was in the store was new, too. */
async function withPhase(fs: FileSystem, home: Home, journal: SwapJournal): Promise<SwapJournal> {
  if (journal.phase !== undefined) return journal;
  const kept = journal.kept ?? [];
  const staged = (await namesIn(dataOf(home, journal))).filter((name) => !kept.includes(name));
  return inPhase(fs, home, journal, staged.length === journal.entries ? 'out' : 'in');
}

const asideOf = (home: Home, { rollback }: Pick<SwapJournal, 'rollback'>): string =>
  join(rollbackRoot(home), rollback);

/** What of the store stays in it. A foreign entry may have come since the journal was written. */
async function staying(
  home: Home,
  { kept = [] }: SwapJournal,
): Promise<Pick<Move, 'stays' | 'holdsStaying'>> {
  const foreign = await foreignNames(home.store);
  return {
    stays: (path) => path === homeInsideStore || foreign.has(path) || kept.includes(path),
    holdsStaying: (path) => kept.some((each) => each.startsWith(`${path}/`)),
  };
}

/** An entry whose name Node cannot spell cannot be renamed: better known before the first one is moved. */
async function assertMovable(home: Home, kept: readonly string[]): Promise<void> {
  const name = (await storeNames(home, kept)).find((each) => each.includes('\uFFFD'));
  if (name === undefined) return;
  throw new SyncAgentError(
    'REFUSED',
    `Cannot replace "${join(home.store, name)}": its name is not valid UTF-8`,
    {
      remedy: 'Rename it or move it out of the store',
    },
  );
}

/** What may be moved. A foreign entry may have come since the journal was written. */
async function storeNames(home: Home, kept: readonly string[] = []): Promise<readonly string[]> {
  const foreign = await foreignNames(home.store);
  const names = await namesIn(home.store);
  return names.filter((name) => name !== homeInsideStore && !foreign.has(name) && !kept.includes(name));
}
