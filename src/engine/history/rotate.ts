import { allOf, both } from '../../platform/concurrently.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { readCommitCopy } from '../../log/commit-copies.ts';
import { readCommit, readLog } from '../../log/commit-log.ts';
import type { CommitObject, LogView } from '../../log/commit-log.ts';
import { reliableMs } from '../../log/retention.ts';
import {
  attemptsPrefix,
  nonSnapshotPrefix,
  historyDirectory,
  historyPrefix,
  isSnapshotId,
  parseCopyKey,
} from '../../log/layout.ts';
import type { Manifest } from '../../log/manifest.ts';
import type { ObjectInfo, Remote } from '../../remotes/remote.ts';
import { inPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { keysReliedOn } from '../relied-on.ts';

export interface RotateWork {
  /** A commit that this process has just created, and when, by the server's clock. */
  readonly commit: Manifest;
  readonly committedAt: Date;
  /** The log as read after that commit, undefined if it cannot be; default: it is read here. */
  readonly after?: Promise<LogView | undefined>;
  /** Snapshots whose files are deleted whatever their age, because a person said so. */
  readonly atOnce?: readonly string[];
}

/**
 * Deletes objects that no commit names and that are older than the grace period: files first, then what describes them. The
 * commit has decided what is live. Rotation only carries it out, and a crash leaves work for the next one.
 *
 * No commit names the files of a backup in progress either, so rotation is safe only right after a commit of our own. A
 * host that read the log before that commit will find its number taken. A host that read it later, and whose files are
 * older than the grace period, has worked for more than half of that, and gives up. So rotation does nothing if the
 * commit is older than half the grace period. All ages are by the server's clock.
 */
export function rotate(context: Context, work: RotateWork): Promise<{ readonly objects: number }> {
  return inPhase(context, 'rotate', () => sweep(context, work));
}

async function sweep(context: Context, work: RotateWork): Promise<{ readonly objects: number }> {
  const { remote, settings } = context;
  const [{ names, serverTime }, besides, view] = await allOf(context.signal, [
    (signal) => remote.listDirectories(historyPrefix, { signal }),
    (signal) => listBesides(remote, signal),
    (signal) =>
      work.after ?? readLog(context, { known: { manifest: work.commit, lastModifiedMs: undefined }, signal }),
  ]);
  const isFenced = serverTime.getTime() - work.committedAt.getTime() < reliableMs(settings.graceMs);
  if (view?.head === undefined || view.damaged.length > 0 || !isFenced) return { objects: 0 };
  // If the number was used and freed while this host slept, no other host was made to give up.
  const isNamed = [view.head, ...view.head.log].some(
    ({ generation }) => generation === work.commit.generation,
  );
  if (!isNamed) return { objects: 0 };

  const { head } = view;
  const cutoff = new Date(serverTime.getTime() - settings.graceMs);
  const atOnce = new Set(work.atOnce);
  const [swept] = await both(
    context.signal,
    (signal) => sweepObjects({ ...context, signal }, { head, view, names, besides, cutoff, atOnce }),
    (signal) => sweepUploads({ ...context, signal }, cutoff),
  );
  return swept;
}

async function sweepObjects(
  context: Context,
  {
    head,
    view,
    names,
    besides,
    cutoff,
    atOnce,
  }: {
    readonly head: Manifest;
    readonly view: LogView;
    /** Of the directories below the history. */
    readonly names: readonly string[];
    readonly besides: readonly ObjectInfo[];
    readonly cutoff: Date;
    readonly atOnce: ReadonlySet<string>;
  },
): Promise<{ readonly objects: number }> {
  const { remote, signal } = context;
  const live = new Set([head.id, ...head.log.map((entry) => entry.id)]);
  const isOld = (object: { readonly lastModified: Date }): boolean => object.lastModified < cutoff;

  const voidCommits = voidCommitsOf(view).filter((commit) => isOld(commit) || atOnce.size > 0);
  const reliedOn = await keysReliedOn(context, view);
  const candidates = new Map<string, readonly string[]>();
  for (const id of names.filter((name) => isSnapshotId(name) && !live.has(name))) {
    const objects: ObjectInfo[] = [];
    for await (const page of remote.list(historyDirectory(id), { signal })) objects.push(...page.objects);
    if (!atOnce.has(id) && !objects.every(isOld)) continue;
    candidates.set(
      id,
      objects.map((object) => object.key).filter((key) => !reliedOn.has(key)),
    );
  }
  const { described, unreadable } = await readVoid(context, { view, voidCommits, candidates });
  if (unreadable.size > 0) {
    for (const id of candidates.keys()) if (!described.has(id) && !atOnce.has(id)) candidates.delete(id);
  }
  const doomed = [...candidates.values()].flat();
  await remote.remove(doomed, { signal });
  // Last, so that a crash never leaves files that nothing describes.
  const descriptions = [
    ...voidCommits.filter(({ generation }) => !unreadable.has(generation)).map(({ key }) => key),
    ...besides
      .filter((object) => isOld(object) || atOnce.size > 0)
      .filter(isVoidIn(view))
      .map(({ key }) => key),
  ];
  await remote.remove(descriptions, { signal });
  const objects = doomed.length + descriptions.length;
  if (objects > 0)
    context.emit({ type: 'rotated', snapshots: [...new Set(doomed.map(snapshotOf))], objects });
  return { objects };
}

/**
 * Which snapshots the void commits describe. If neither a commit nor its copy can be read, it may describe any directory
 * that nothing else describes. Those directories stay for `repair-remote` to find out. Younger commits are read only if a
 * directory depends on it.
 */
async function readVoid(
  context: Context,
  work: {
    readonly view: LogView;
    readonly voidCommits: LogView['commits'];
    readonly candidates: ReadonlyMap<string, unknown>;
  },
): Promise<{ readonly described: ReadonlySet<string>; readonly unreadable: ReadonlySet<number> }> {
  const { signal } = context;
  const described = new Set<string>();
  const unreadable = new Set<number>();
  const read = async ({ generation }: CommitObject): Promise<void> => {
    try {
      described.add((await readCommit(context, generation, { signal })).id);
    } catch (error) {
      if (isSyncAgentError(error, 'NOT_FOUND')) return;
      if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
      const copy = await readCommitCopy(context, generation, { signal });
      if (copy === undefined) unreadable.add(generation);
      else described.add(copy.id);
    }
  };
  for (const commit of work.voidCommits) await read(commit);
  if ([...work.candidates.keys()].some((id) => !described.has(id))) {
    const seen = new Set(work.voidCommits);
    for (const commit of voidCommitsOf(work.view)) if (!seen.has(commit)) await read(commit);
  }
  return { described, unreadable };
}

/** What is in the history beside the snapshots: copies of commits, and marks of first backups. */
async function listBesides(remote: Remote, signal: AbortSignal): Promise<readonly ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const page of remote.list(nonSnapshotPrefix, { signal })) found.push(...page.objects);
  return found;
}

/** Whether nobody needs such an object any more: the copy of a void commit, or a mark. */
function isVoidIn(view: LogView): (object: ObjectInfo) => boolean {
  const live = liveGenerations(view);
  const newest = view.head?.generation ?? 0;
  return ({ key }) => {
    const generation = parseCopyKey(key);
    return generation === undefined
      ? key.startsWith(attemptsPrefix)
      : !live.has(generation) && generation < newest;
  };
}

/** Unfinished uploads belong to no snapshot, so a server that refuses to list or abort them causes a warning only. */
async function sweepUploads({ remote, signal, emit }: Context, cutoff: Date): Promise<void> {
  try {
    await remote.sweepUploads(historyPrefix, cutoff, { signal });
  } catch (error) {
    if (!isSyncAgentError(error) || error.retryable || error.code === 'INTERRUPTED') throw error;
    const { code, message, remedy } = error;
    emit({ type: 'warning', code, message, ...(remedy === undefined ? {} : { remedy }) });
  }
}

/** Commit objects below the newest one that it does not name. */
export function voidCommitsOf(view: LogView): LogView['commits'] {
  const live = liveGenerations(view);
  return view.commits.filter(
    ({ generation }) => !live.has(generation) && generation < (view.head?.generation ?? 0),
  );
}

const liveGenerations = ({ head }: LogView): ReadonlySet<number | undefined> =>
  new Set([head?.generation, ...(head?.log ?? []).map((entry) => entry.generation)]);

const snapshotOf = (key: string): string => key.split('/')[1] ?? '';
