import { isSyncAgentError } from '../../platform/errors.ts';
import { readCopy } from '../../log/commit-copies.ts';
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
import type { ObjectInfo } from '../../remotes/remote.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { keysReliedOn } from '../relied-on.ts';

export interface RotateWork {
  /** A commit that this process has just created, and when, by the server's clock. */
  readonly commit: Manifest;
  readonly committedAt: Date;
  /** Snapshots whose files go whatever their age: a person said so. */
  readonly atOnce?: readonly string[];
}

/**
 * Deletes what no commit names any more and is older than the grace period: files, then what describes them. What is
 * live was decided by the commit itself; rotation only carries it out, and a crash leaves work for the next one.
 *
 * It is safe against hosts in the middle of a backup only right after a commit of our own. Their files are unnamed
 * too; but one that read the log before our commit will find its number taken, and one that read it later and whose
 * files are older than the grace period has been at it for more than half of that, and gives up. So rotation
 * does nothing when the commit is older than half the grace period. Ages are by the server's clock throughout.
 */
export async function rotate(context: Context, work: RotateWork): Promise<{ readonly objects: number }> {
  enterPhase(context, 'rotate');
  const { remote, settings, signal } = context;
  const view = await readLog(context, {
    known: { manifest: work.commit, lastModifiedMs: undefined },
    signal,
  });
  const { names, serverTime } = await remote.listDirectories(historyPrefix, { signal });
  const isFenced = serverTime.getTime() - work.committedAt.getTime() < reliableMs(settings.graceMs);
  if (view.head === undefined || view.damaged.length > 0 || !isFenced) return { objects: 0 };
  // A number that was used and freed while this host slept fences nobody off.
  const isNamed = [view.head, ...view.head.log].some(
    ({ generation }) => generation === work.commit.generation,
  );
  if (!isNamed) return { objects: 0 };

  const cutoff = new Date(serverTime.getTime() - settings.graceMs);
  const live = new Set([view.head.id, ...view.head.log.map((entry) => entry.id)]);
  const atOnce = new Set(work.atOnce);
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
  // Last, so that files never lie there that nothing describes, whenever this is cut off.
  const descriptions = [
    ...voidCommits.filter(({ generation }) => !unreadable.has(generation)).map(({ key }) => key),
    ...(await listBesides(context, { view, isOld: (object) => isOld(object) || atOnce.size > 0 })),
  ];
  await remote.remove(descriptions, { signal });
  const objects = doomed.length + descriptions.length;
  if (objects > 0)
    context.emit({ type: 'rotated', snapshots: [...new Set(doomed.map(snapshotOf))], objects });
  await sweepUploads(context, cutoff);
  return { objects };
}

/**
 * Which snapshots the void commits describe. One that cannot be read, nor its copy, may be that of any directory that
 * nothing describes: those stay then, for `repair-remote`, which finds out. Younger commits are read only if it
 * matters for a directory.
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
      const copy = await readCopy(context, generation, { signal });
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

/** Copies of commits that are void, and what first backups said of themselves. */
async function listBesides(
  { remote, signal }: Context,
  {
    view,
    isOld,
  }: {
    readonly view: LogView;
    readonly isOld: (object: ObjectInfo) => boolean;
  },
): Promise<readonly string[]> {
  const keys: string[] = [];
  const live = liveGenerations(view);
  for await (const page of remote.list(nonSnapshotPrefix, { signal })) {
    for (const object of page.objects.filter(isOld)) {
      const generation = parseCopyKey(object.key);
      const isVoid =
        generation === undefined
          ? object.key.startsWith(attemptsPrefix)
          : !live.has(generation) && generation < (view.head?.generation ?? 0);
      if (isVoid) keys.push(object.key);
    }
  }
  return keys;
}

/** A server or credentials that refuse this may well do all the rest, and what stays is no snapshot's. */
async function sweepUploads({ remote, signal, emit }: Context, cutoff: Date): Promise<void> {
  try {
    await remote.sweepUploads(historyPrefix, cutoff, { signal });
  } catch (error) {
    if (!isSyncAgentError(error) || error.retryable || error.code === 'INTERRUPTED') throw error;
    emit({ type: 'warning', code: error.code, message: error.message, remedy: sweepRemedy });
  }
}

const sweepRemedy =
  'Allow s3:ListBucketMultipartUploads and s3:AbortMultipartUpload, or let the bucket expire incomplete uploads';

/** Commit objects that the newest commit does not name, other than itself. */
export function voidCommitsOf(view: LogView): LogView['commits'] {
  const live = liveGenerations(view);
  return view.commits.filter(
    ({ generation }) => !live.has(generation) && generation < (view.head?.generation ?? 0),
  );
}

const liveGenerations = ({ head }: LogView): ReadonlySet<number | undefined> =>
  new Set([head?.generation, ...(head?.log ?? []).map((entry) => entry.generation)]);

const snapshotOf = (key: string): string => key.split('/')[1] ?? '';
