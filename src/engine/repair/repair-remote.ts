import { SyncAgentError } from '../../platform/errors.ts';
import { writeCommitCopy } from '../../log/commit-copies.ts';
import { createCommit } from '../../log/create-commit.ts';
import { probeCreateOnly } from '../../log/create-only.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import { logEntryOf } from '../../log/manifest.ts';
import { byPrecedence } from '../../log/precedence.ts';
import type { Context } from '../context.ts';
import { enterPhase } from '../context.ts';
import { problemsOf } from '../relied-on.ts';
import type { Origin } from './plan-repair.ts';
import { readRemains } from './read-remains.ts';
import type { Remains } from './read-remains.ts';
import { rebuildLog } from './rebuild-log.ts';
import type { Rebuilt } from './rebuild-log.ts';

export interface RepairedSnapshot {
  readonly id: string;
  readonly generation: number;
  /** What described it. `files`: its files were read and inspected, and nothing proves that it was committed. */
  readonly origin: Origin;
  /** What the repair writes for it. */
  readonly writes: readonly ('commit' | 'copy')[];
  /** What is missing of it. It stays in the log, so that the rest of its objects stay. */
  readonly problems: readonly string[];
}

export interface RepairResult {
  /** The log after the repair, oldest first. */
  readonly snapshots: readonly RepairedSnapshot[];
  /** Directories that are left alone, and why. */
  readonly left: readonly { readonly id: string; readonly why: string }[];
  /** Number of a new commit that names all of them. Undefined if the present one does. */
  readonly newCommit: number | undefined;
  /** Number of objects that the repair writes, or would write. */
  readonly objects: number;
  readonly isDryRun: boolean;
}

/**
 * Rebuilds the commit log from what is left in a remote. Deletes nothing, and overwrites only a copy that cannot be read.
 * After a crash, the next run does the rest:
 *
 *     1 read everything                 crash: nothing has happened
 *     2 COMMIT: it names all snapshots  from now on the snapshots exist, and rotation keeps them
 *     3 write missing copies            crash: the next run reads the files of those snapshots again
 *     4 write missing commits           crash: their copies count
 */
export async function repairRemote(
  context: Context,
  options: { readonly dryRun?: boolean } = {},
): Promise<RepairResult> {
  enterPhase(context, 'verify');
  const remains = await readRemains(context);
  const work = await rebuildLog(context, remains);
  const result = describe(context, remains, work, options.dryRun ?? false);
  if (result.isDryRun || result.objects === 0) return result;

  const { remote, signal, clock, settings } = context;
  const support = await probeCreateOnly(remote, makeSnapshotId(clock.now(), clock.randomHex(4)), {
    graceMs: settings.graceMs,
    signal,
  });
  const createOnly = support !== 'rejected';
  enterPhase(context, 'commit');
  if (work.isHeadDue && (await createCommit(context, work.head, { createOnly, signal })) === undefined) {
    throw new SyncAgentError('BUSY', `Cannot repair ${remote.location}: another host committed meanwhile`, {
      remedy: 'Run it again',
    });
  }
  for (const manifest of work.manifests) {
    if (remains.copies.get(manifest.generation) === undefined) {
      const isDamaged = remains.copies.has(manifest.generation);
      await writeCommitCopy(remote, manifest, { createOnly: createOnly && !isDamaged, signal });
    }
  }
  for (const manifest of work.manifests) {
    if (!remains.commits.has(manifest.generation) && manifest !== work.head)
      await createCommit(context, manifest, { createOnly, signal });
  }
  return result;
}

function describe(context: Context, remains: Remains, work: Rebuilt, isDryRun: boolean): RepairResult {
  const sizes = new Map<string, number>();
  for (const objects of remains.directories.values())
    for (const { key, size } of objects) sizes.set(key, size);
  const known = new Map(work.manifests.map((manifest) => [manifest.id, manifest]));
  const why = new Map(work.unknown.map(({ entry, ...each }) => [entry.id, each.why]));
  const snapshots = [...work.head.log, logEntryOf(work.head)].toSorted(byPrecedence).map((entry) => {
    const manifest = known.get(entry.id);
    const { id, generation } = entry;
    const origin = work.origins.get(id) ?? 'files';
    if (manifest === undefined)
      return { id, generation, origin, writes: [], problems: [why.get(id) ?? 'nothing describes it'] };
    const isCommitDue = manifest === work.head ? work.isHeadDue : !remains.commits.has(manifest.generation);
    const isCopyDue = remains.copies.get(manifest.generation) === undefined;
    return {
      id,
      generation,
      origin,
      writes: [...(isCommitDue ? (['commit'] as const) : []), ...(isCopyDue ? (['copy'] as const) : [])],
      problems: problemsOf(context, manifest, sizes),
    };
  });
  return {
    snapshots,
    left: work.left,
    newCommit: work.isHeadDue ? work.head.generation : undefined,
    objects: snapshots.reduce((sum, { writes }) => sum + writes.length, 0),
    isDryRun,
  };
}
