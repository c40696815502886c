import { dirname, join } from 'node:path';
import { SyncAgentError } from '../platform/errors.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { isExcluded, noExclusions } from '../stores/content/exclusions.ts';
import { fingerprint, placementFingerprint, storeIdentity } from '../stores/content/fingerprint.ts';
import { foreignNames } from '../stores/content/foreign.ts';
import { homeInsideStore, scanStore } from '../stores/content/scan.ts';
import { sweepBuild } from './build-place.ts';
import { carryOver } from './carry-over.ts';
import { stagingRoot } from './home.ts';
import type { Home } from './home.ts';
import { giveUpLog } from './log-files.ts';
import { settleInnerMounts } from './inner-mounts.ts';
import { readJournal, removeJournal, writeJournal } from './journal.ts';
import type { ReplaceJournal, SwapJournal } from './journal.ts';
import { lstatOrNone, namesIn } from './move-entries.ts';
import { oldStorePath, canBeRenamed, newStorePath, placeStore } from './place-store.ts';
import { pruneRollbackCopies } from './rollback-copies.ts';
import { noRemoteState, writeState } from './state.ts';

/**
 * The swap puts a staged store in the place of the current one. It is one operation with a journal:
 *
 *     staging complete and on disk
 *       1 journal written              crash before: the old store, and garbage that the next run sweeps
 *       2 old store -> rollback copy   crash before: the old store; the next run forgets the swap
 *       3 staged data -> store         crash before: no store, but a journal that puts the new one there
 *       4 state written                crash before: the new store; the next run goes on here
 *       5 journal removed              crash before: the new store; done again to the same effect
 *
 * Some stores cannot be renamed: a mount point, a lower layer of an overlay, another user's directory, a store with mounts or
 * foreign entries in it that must stay. This is tested before the journal is written. Steps 2 and 3 then move the entries, each by
 * a rename, and the journal says which of the two steps is under way:
 *
 *     2 `out`  entries -> rollback copy    crash: goes on
 *     3 `in`   staged entries -> store     crash: goes on
 *
 * If a move fails, for whatever reason, the swap is turned back under the same journal: step 3 is undone (`undo-in`), then step 2
 * (`undo-out`), and everything is as it was. If even that fails, the journal stays, and the next run goes on with it.
 */
export interface SwapRequest {
  /** Where the new store is: in staging, or an older rollback copy. */
  readonly from: SwapJournal['from'];
  /** The name of the rollback copy. */
  readonly rollback: string;
  readonly keepRollback: boolean;
  /** Number of rollback copies to keep. */
  readonly rollbackCopies: number;
  readonly location: string;
  readonly parent: SwapJournal['parent'];
  /** Snapshots that lost against this one. */
  readonly settled: readonly string[];
  /** The next backup must commit even if nothing is written. So no fingerprint is recorded, and the backup asks the remote. */
  readonly isCommitDue: boolean;
  /** The new store is no state at the end of the log of its parent, and is to stay what it is. So is one that continues the old one. */
  readonly givesUpLog?: boolean;
  /** What is known of every remote, if the new store continues the old one. Then it counts as written since its parents. */
  readonly continues?: SwapJournal['continues'];
}

export async function swapIn(fs: FileSystem, home: Home, request: SwapRequest): Promise<void> {
  const data = newStorePath(home, request);
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
  await finishSwap(fs, home, journal, rollbackCopies);
}

/**
 * Finishes an interrupted swap, or forgets one that moved nothing, empties staging, and removes a build that was killed. Resolves to the
 * journal of an interrupted replacement, if there is one. Only a restore from the remote can finish that: until then the store is incomplete.
 */
export async function recover(
  fs: FileSystem,
  home: Home,
  options: { readonly rollbackCopies: number },
): Promise<ReplaceJournal | undefined> {
  const journal = await readJournal(home);
  if (journal?.type === 'swap') {
    if (await hasBegun(home, journal)) await finishSwap(fs, home, journal, options.rollbackCopies);
    else await removeJournal(fs, home);
  }
  await fs.remove(stagingRoot(home));
  await sweepBuild(fs, home);
  return journal?.type === 'replace' ? journal : undefined;
}

async function hasBegun(home: Home, journal: SwapJournal): Promise<boolean> {
  if (journal.phase !== undefined && journal.phase !== 'out') return true;
  if ((await lstatOrNone(oldStorePath(home, journal))) !== undefined) return true;
  const kept = journal.kept ?? [];
  const staged = (await namesIn(newStorePath(home, journal))).filter((name) => !kept.includes(name));
  if (staged.length < journal.entries) return true;
  return (await storeNames(home, kept)).length === 0;
}

async function finishSwap(
  fs: FileSystem,
  home: Home,
  journal: SwapJournal,
  rollbackCopies: number,
): Promise<void> {
  if (!(await placeStore(fs, home, journal))) return;
  if (journal.givesUpLog === true || journal.continues !== undefined) await giveUpLog(fs, home);
  const scan = await scanStore(home.store, home.exclude);
  const isUntouched = placementFingerprint(scan) === journal.placement;
  await writeState(fs, home, {
    format: 1,
    identity: await storeIdentity(home.store),
    remotes: journal.continues ?? {
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
  if (journal.from.type === 'rollback') await fs.remove(newStorePath(home, journal));
  if (!journal.keepRollback) await fs.remove(oldStorePath(home, journal));
  await pruneRollbackCopies(fs, home, rollbackCopies);
}

/** Node cannot rename an entry whose name is not valid UTF-8. Check this before the first one is moved. */
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

/** The entries of the store that are moved. A foreign one may have come since the journal was written. */
async function storeNames(home: Home, kept: readonly string[] = []): Promise<readonly string[]> {
  const foreign = await foreignNames(home.store);
  const names = await namesIn(home.store);
  return names.filter((name) => name !== homeInsideStore && !foreign.has(name) && !kept.includes(name));
}
