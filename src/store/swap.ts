import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SyncAgentError, errnoOf } from '../errors.ts';
import { carryOver } from './carry-over.ts';
import type { FileSystem } from './file-system.ts';
import { fingerprint, placementFingerprint, storeIdentity } from './fingerprint.ts';
import type { Home } from './home.ts';
import { rollbackRoot, stagingRoot } from './home.ts';
import { readJournal, removeJournal, writeJournal } from './journal.ts';
import type { ReplaceJournal, SwapJournal } from './journal.ts';
import { pruneRollbackCopies } from './rollback-copies.ts';
import { foreignNames } from './foreign.ts';
import { homeInsideStore, scanStore } from './scan.ts';
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
 * Where the store is a mount point, or has entries that must stay, 2 and 3 move its entries one by one, all old ones first. Each move is a rename;
 * what has been moved is told from where things are, so every step can be done again.
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
  const kept = await carryOver(fs, home, { data, byEntries: home.swap === 'entries' });
  const way = home.swap === 'entries' || kept.length > 0 ? 'entries' : 'rename';
  if (way === 'entries') await assertMovable(home, kept);
  const { rollbackCopies, isCommitDue, ...rest } = request;
  const journal: SwapJournal = {
    format: 1,
    type: 'swap',
    ...rest,
    settled: [...request.settled],
    way,
    kept: [...kept],
    entries: (await namesIn(data, kept)).length,
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
  const staged = await namesIn(dataOf(home, journal), journal.kept);
  if (staged.length < journal.entries || (await exists(join(rollbackRoot(home), journal.rollback))))
    return true;
  return (await storeNames(home, journal.kept)).length === 0;
}

async function carryOut(
  fs: FileSystem,
  home: Home,
  journal: SwapJournal,
  rollbackCopies: number,
): Promise<void> {
  if ((journal.way ?? home.swap) === 'rename') await swapWhole(fs, home, journal);
  else await swapEntries(fs, home, journal);
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
  if (!journal.keepRollback) await fs.remove(join(rollbackRoot(home), journal.rollback));
  await pruneRollbackCopies(fs, home, rollbackCopies);
}

async function swapWhole(fs: FileSystem, home: Home, journal: SwapJournal): Promise<void> {
  const data = dataOf(home, journal);
  if (!(await exists(data))) return;
  if (await exists(home.store)) {
    const aside = await freePlace(join(rollbackRoot(home), journal.rollback));
    await fs.makeDirectory(dirname(aside));
    await fs.rename(home.store, aside);
    await fs.sync(dirname(aside));
  } else {
    await fs.makeDirectory(dirname(home.store), { mode: 0o755 });
  }
  await fs.rename(data, home.store);
  await fs.sync(dirname(home.store));
}

async function swapEntries(fs: FileSystem, home: Home, journal: SwapJournal): Promise<void> {
  const data = dataOf(home, journal);
  const staged = await namesIn(data, journal.kept);
  const aside = join(rollbackRoot(home), journal.rollback);
  await fs.makeDirectory(aside);
  // Once the first new entry is in, whatever else is in the store is new too, and stays.
  const outgoing = staged.length === journal.entries ? await storeNames(home, journal.kept) : [];
  for (const name of outgoing) await fs.rename(join(home.store, name), await freePlace(join(aside, name)));
  await fs.sync(aside);
  await fs.sync(home.store);
  for (const name of staged) {
    const place = join(home.store, name);
    if (await exists(place)) await fs.rename(place, await freePlace(join(aside, name)));
    await fs.rename(join(data, name), place);
  }
  await fs.sync(home.store);
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

/**
 * `path`, or a name beside it that is not taken. Taken means that a program made a new store in the gap between
 * steps 2 and 3 of an interrupted swap; it is kept as well.
 */
async function freePlace(path: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? path : `${path}.${number}`;
    if (!(await exists(candidate))) return candidate;
  }
}

/** What may be moved. A foreign entry may have come since the journal was written. */
async function storeNames(home: Home, kept: readonly string[] = []): Promise<readonly string[]> {
  const foreign = await foreignNames(home.store);
  return (await namesIn(home.store, kept)).filter((name) => name !== homeInsideStore && !foreign.has(name));
}

async function namesIn(path: string, without: readonly string[] = []): Promise<readonly string[]> {
  const names = await readdir(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => !without.includes(name));
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    },
  );
}
