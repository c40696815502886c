import { dirname, join } from 'node:path';
import { isDiskFull } from '../platform/disk-space.ts';
import { SyncAgentError, errnoOf, fromFileSystem } from '../platform/errors.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { foreignNames } from '../stores/content/foreign.ts';
import { homeInsideStore } from '../stores/content/scan.ts';
import { rollbackRoot, stagedData, stagingRoot } from './home.ts';
import type { Home } from './home.ts';
import { removeJournal, writeJournal } from './journal.ts';
import type { SwapJournal } from './journal.ts';
import { freePlace, lstatOrNone, moveIn, moveOut, namesIn } from './move-entries.ts';
import type { Move } from './move-entries.ts';

/** Where the new store is before the swap. */
export const newStorePath = (home: Home, { from }: Pick<SwapJournal, 'from'>): string =>
  from.type === 'staging' ? stagedData(home, from.name) : join(rollbackRoot(home), from.name);

/** Where the old store goes: the rollback copy. */
export const oldStorePath = (home: Home, { rollback }: Pick<SwapJournal, 'rollback'>): string =>
  join(rollbackRoot(home), rollback);

/**
 * Steps 2 and 3 of a swap: the table is above `SwapRequest`. Resolves to false if an earlier run had turned the swap back:
 * then this finishes that, and the old store is in its place.
 */
export async function placeStore(fs: FileSystem, home: Home, journal: SwapJournal): Promise<boolean> {
  const way = journal.way ?? home.swap;
  return way === 'rename'
    ? swapWhole(fs, home, journal)
    : swapEntries(fs, home, await withPhase(fs, home, journal));
}

async function swapWhole(fs: FileSystem, home: Home, journal: SwapJournal): Promise<boolean> {
  const data = newStorePath(home, journal);
  if ((await lstatOrNone(data)) === undefined) return true;
  let aside: string | undefined;
  if ((await lstatOrNone(home.store)) === undefined) {
    await fs.makeDirectory(dirname(home.store), { mode: 0o755 });
  } else {
    aside = await freePlace(oldStorePath(home, journal));
    await fs.makeDirectory(dirname(aside));
    try {
      await fs.rename(home.store, aside);
    } catch (error) {
      if (!cannotBeRenamed.includes(errnoOf(error) ?? ''))
        return giveUp(fs, home, error, async () => undefined);
      // Nothing was moved yet, so entries can be swapped instead.
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

/** A lower layer of an overlay, a mount point that only the kernel sees, another user's directory, or an immutable one. */
const cannotBeRenamed: readonly string[] = ['EXDEV', 'EBUSY', 'EPERM', 'EACCES'];

/**
 * Tests whether a directory can be renamed, without renaming it. `onto` must be a directory that is not empty: a rename onto it
 * always fails (rename(2): ENOTEMPTY or EEXIST), but the kernel first reports any other reason why `path` cannot be renamed.
 */
export async function canBeRenamed(fs: FileSystem, path: string, onto: string): Promise<boolean> {
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
      await moveOut(fs, {
        from: home.store,
        to: oldStorePath(home, journal),
        ...(await staying(home, journal)),
      });
      journal = await inPhase(fs, home, journal, 'in');
    }
    if (journal.phase === 'in') {
      const { data, aside } = { data: newStorePath(home, journal), aside: oldStorePath(home, journal) };
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

/** Moves everything back, whatever phase had been reached. */
async function goBack(fs: FileSystem, home: Home, failed: SwapJournal): Promise<void> {
  let journal = failed;
  const staged = join(newStorePath(home, journal), '');
  if (journal.phase === 'in') journal = await inPhase(fs, home, journal, 'undo-in');
  if (journal.phase === 'undo-in') {
    await moveOut(fs, { from: home.store, to: staged, ...(await staying(home, journal)) });
  }
  if (journal.phase !== 'undo-out') journal = await inPhase(fs, home, journal, 'undo-out');
  const aside = oldStorePath(home, journal);
  await moveIn(fs, {
    from: aside,
    to: home.store,
    aside: join(stagingRoot(home), 'aside'),
    fillsAll: true,
    ...(await staying(home, journal)),
  });
  await fs.remove(aside);
}

/** Undoes the swap with `back`. If that fails too, the journal stays for the next run. Always throws. */
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

/** An older version wrote no phase. It moved all old entries out first, so one new entry in the store means phase `in`. */
async function withPhase(fs: FileSystem, home: Home, journal: SwapJournal): Promise<SwapJournal> {
  if (journal.phase !== undefined) return journal;
  const kept = journal.kept ?? [];
  const staged = (await namesIn(newStorePath(home, journal))).filter((name) => !kept.includes(name));
  return inPhase(fs, home, journal, staged.length === journal.entries ? 'out' : 'in');
}

/** The entries that stay in the store. A foreign one may have come since the journal was written. */
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
