import type { LogView } from '../../log/commit-log.ts';
import type { Manifest } from '../../log/manifest.ts';
import { storeExists } from '../../home/home.ts';
import { noRemoteState, readState } from '../../home/state.ts';
import type { LocalState } from '../../home/state.ts';
import type { SwapRequest } from '../../home/swap.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { storeIdentity } from '../../stores/content/fingerprint.ts';
import type { Context } from '../context.ts';
import { parentRef } from '../lineage.ts';
import { manifestIfReadable, readRemote } from '../remote-log.ts';
import { askBeforeStart } from '../restore/start-limit.ts';
import { isCommitDue, otherTips } from '../tips.ts';

/** What is recorded of a store that came from an archive. */
export interface ArchiveLineage extends Pick<
  SwapRequest,
  'parent' | 'settled' | 'isCommitDue' | 'continues'
> {
  /** The commit of `parent`. */
  readonly commit: Manifest | undefined;
  /**
   * `equal`: the remote has a snapshot with just these files. `grown`: it has the snapshot that the archived store grew from. `unknown`: neither, or
   * nobody could ask it.
   */
  readonly type: 'equal' | 'grown' | 'unknown';
}

/** How long the remote is asked: an archive is restored without one, too. */
const patienceMs = 20_000;

/**
 * Finds the parent of a store from an archive. The archive was chosen over everything that the remote has, as a snapshot is that is restored by
 * name. So the next backup makes the store the newest snapshot, and is no divergence.
 */
export async function lineageOfArchive(context: Context, manifest: Manifest): Promise<ArchiveLineage> {
  const view = await askRemote(context);
  if (view === undefined) return unknown(await givenUpEverywhere(context));
  for (const { entry } of likely(view, manifest)) {
    const commit = await manifestIfReadable(context, view, entry);
    if (commit === undefined || !hasSameFiles(commit, manifest)) continue;
    const settled = [...otherTips(view, entry.id)];
    const parent = parentRef(view, entry);
    return { type: 'equal', parent, settled, isCommitDue: isCommitDue(view, { settled }), commit };
  }
  const known = await givenUpEverywhere(context);
  const grownFrom = view.snapshots.find(({ entry }) => entry.id === manifest.parent)?.entry;
  const parent = grownFrom === undefined ? null : parentRef(view, grownFrom);
  const settled = [...otherTips(view, grownFrom?.id ?? '')];
  const here = { ...noRemoteState, createOnly: known[context.remoteId]?.createOnly ?? null, parent, settled };
  const lineage = unknown({ ...known, [context.remoteId]: here });
  if (grownFrom === undefined) return lineage;
  return { ...lineage, type: 'grown', commit: await manifestIfReadable(context, view, grownFrom) };
}

/** Undefined without a remote, and if it does not answer: then this host's own record has to do. */
async function askRemote(context: Context): Promise<LogView | undefined> {
  if (context.remoteId === '') return undefined;
  try {
    return await askBeforeStart(context, patienceMs, readRemote);
  } catch (error) {
    if (!isSyncAgentError(error) || error.code === 'INTERRUPTED') throw error;
    context.emit({
      type: 'warning',
      code: error.code,
      message: `Nobody knows which snapshot this archive grew from: ${error.message}`,
      remedy: 'The next backup compares the contents',
    });
    return undefined;
  }
}

/** The snapshots that the archive names, and those of its size: few manifests are fetched. */
function likely({ snapshots }: LogView, { id, parent, files }: Manifest): LogView['snapshots'] {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const rank = (entryId: string): number => (entryId === id ? 0 : entryId === parent ? 1 : 2);
  return snapshots
    .filter(({ entry }) => entry.bytes === bytes)
    .toSorted((a, b) => rank(a.entry.id) - rank(b.entry.id));
}

function hasSameFiles(one: Manifest, other: Manifest): boolean {
  const hashes = new Map(one.files.map(({ path, size, sha256 }) => [path, `${size} ${sha256}`]));
  return (
    one.files.length === other.files.length &&
    other.files.every(({ path, size, sha256 }) => hashes.get(path) === `${size} ${sha256}`)
  );
}

function unknown(continues: LocalState['remotes']): ArchiveLineage {
  return { type: 'unknown', parent: null, settled: [], isCommitDue: true, continues, commit: undefined };
}

/** Of every remote that this host knows: the store that is replaced had this parent, which the archive was chosen over. */
async function givenUpEverywhere({ home }: Context): Promise<LocalState['remotes']> {
  const local = await readState(home);
  if (local === undefined) return {};
  if ((await storeExists(home)) && local.identity !== (await storeIdentity(home.store))) return {};
  return Object.fromEntries(
    Object.entries(local.remotes).map(([name, { parent, settled, createOnly }]) => [
      name,
      { ...noRemoteState, createOnly, settled: [...(parent === null ? [] : [parent.id]), ...settled] },
    ]),
  );
}
