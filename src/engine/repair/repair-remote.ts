import { SyncAgentError } from '../../platform/errors.ts';
import { writeCopy } from '../../log/commit-copies.ts';
import { createCommit } from '../../log/create-commit.ts';
import { probeCreateOnly } from '../../log/create-only.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import { logEntryOf } from '../../log/manifest.ts';
import type { LogEntry, Manifest } from '../../log/manifest.ts';
import { byPrecedence } from '../../log/precedence.ts';
import type { Context } from '../context.ts';
import { enterPhase } from '../context.ts';
import { problemsOf } from '../relied-on.ts';
import { readDirectory } from './manifest-from-files.ts';
import { freeNumbers, planRepair } from './plan-repair.ts';
import type { Origin } from './plan-repair.ts';
import { readRemains } from './read-remains.ts';
import type { Remains } from './read-remains.ts';

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
  const work = await rebuild(context, remains);
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
      await writeCopy(remote, manifest, { createOnly: createOnly && !isDamaged, signal });
    }
  }
  for (const manifest of work.manifests) {
    if (!remains.commits.has(manifest.generation) && manifest !== work.head)
      await createCommit(context, manifest, { createOnly, signal });
  }
  return result;
}

interface Rebuilt {
  readonly head: Manifest;
  /** The head does not exist as a commit. */
  readonly isHeadDue: boolean;
  /** Of every live snapshot that can be described, the head included. */
  readonly manifests: readonly Manifest[];
  readonly origins: ReadonlyMap<string, Origin>;
  readonly left: RepairResult['left'];
  /** Live snapshots that nothing describes any more. */
  readonly unknown: readonly { readonly entry: LogEntry; readonly why: string }[];
}

async function rebuild(context: Context, remains: Remains): Promise<Rebuilt> {
  const plan = planRepair(remains);
  if (plan.rival !== undefined) {
    const { id, generation } = plan.rival;
    throw new SyncAgentError(
      'REFUSED',
      `Cannot repair ${context.remote.location}: commit ${generation} was made after newer ones had been lost, and they do not know its snapshot ${id}`,
      {
        remedy: `Save that snapshot first ("sync-agent restore --to DIR --snapshot ${id}"), then move its commit away and run this again`,
      },
    );
  }
  const origins = new Map<string, Origin>();
  const manifests: Manifest[] = [];
  const unknown: { entry: LogEntry; why: string }[] = [];
  for (const { entry, origin, manifest } of plan.snapshots) {
    origins.set(entry.id, origin);
    if (manifest !== undefined) {
      manifests.push(renumbered(manifest, entry));
      continue;
    }
    const objects = remains.directories.get(entry.id) ?? [];
    const read = await readDirectory(context, { id: entry.id, objects, entry });
    if (read.manifest === undefined) unknown.push({ entry, why: read.why });
    else manifests.push({ ...read.manifest, generation: entry.generation, parent: entry.parent });
  }
  const left = plan.unnamed.map((id) => ({ id, why: 'no commit names it: never committed, or dropped' }));
  const found: Omit<Manifest, 'generation' | 'parent'>[] = [];
  for (const id of plan.candidates) {
    const objects = remains.directories.get(id) ?? [];
    const read = await readDirectory(context, { id, objects, entry: undefined });
    if (read.manifest === undefined) left.push({ id, why: read.why });
    else found.push(read.manifest);
  }
  const done = { manifests, origins, left, unknown };
  if (plan.head === undefined) return fromFilesAlone(context, remains, found, done);
  return joined(context, remains, { ...done, head: plan.head, isCommitted: plan.isHeadCommitted, found });
}

/** Uses an older commit of the same snapshot if the one that the log names is gone. */
function renumbered(manifest: Manifest, entry: LogEntry): Manifest {
  if (manifest.generation === entry.generation) return manifest;
  return { ...manifest, generation: entry.generation, parent: entry.parent, log: [], resolved: [] };
}

type Done = Pick<Rebuilt, 'manifests' | 'origins' | 'left' | 'unknown'>;

/** For a remote in which nothing names a snapshot: takes those that are sound, by time, each the parent of the next. */
function fromFilesAlone(
  { remote }: Context,
  { commits, copies }: Remains,
  found: readonly Omit<Manifest, 'generation' | 'parent'>[],
  done: Done,
): Rebuilt {
  const base = Math.max(0, ...commits.keys(), ...copies.keys());
  const chain = found.map((manifest, index) => ({
    ...manifest,
    generation: base + index + 1,
    parent: found[index - 1]?.id ?? null,
  }));
  const newest = chain.at(-1);
  if (newest === undefined) {
    throw new SyncAgentError('NOT_FOUND', `Cannot repair ${remote.location}: it holds no snapshot`, {
      remedy:
        done.left.length > 0
          ? done.left.map(({ id, why }) => `${id}: ${why}`).join('; ')
          : 'Check bucket and prefix',
    });
  }
  const head = { ...newest, log: chain.slice(0, -1).map(logEntryOf) };
  const origins = new Map(chain.map(({ id }) => [id, 'files' as const]));
  return { ...done, head, isHeadDue: true, manifests: [...chain.slice(0, -1), head], origins };
}

/** The head, or a new one that also names the snapshots that were found besides. */
function joined(
  { clock }: Context,
  { commits, copies }: Remains,
  work: Done & {
    readonly head: Manifest;
    readonly isCommitted: boolean;
    readonly found: readonly Omit<Manifest, 'generation' | 'parent'>[];
  },
): Rebuilt {
  const { head, found } = work;
  // If the head's commit is there but cannot be read, its copy counts.
  if (found.length === 0) {
    const isHeadDue = !work.isCommitted && !commits.has(head.generation);
    return { ...work, head, isHeadDue };
  }
  const known = new Map(work.manifests.map((manifest) => [manifest.id, manifest]));
  const entries = [...head.log, logEntryOf(head)];
  const generation = Math.max(head.generation, ...commits.keys(), ...copies.keys()) + 1;
  const numbers = freeNumbers(
    found.map(({ id }) => id),
    entries,
    {
      isFree: (each) => commits.get(each) === undefined && copies.get(each) === undefined,
      limit: head.generation,
    },
  );
  const left = [...work.left];
  const added: Manifest[] = [];
  for (const manifest of found) {
    const number = numbers.get(manifest.id);
    if (number === undefined)
      left.push({ id: manifest.id, why: 'no number below the newest is free for it' });
    else {
      const before = [...entries, ...added].filter((each) => each.generation < number).toSorted(byPrecedence);
      added.push({ ...manifest, generation: number, parent: before.at(-1)?.id ?? null });
    }
  }
  const newestEntry = entries.toSorted(byPrecedence).at(-1);
  const newest = known.get(newestEntry?.id ?? '') ?? head;
  const others = [...entries.filter((each) => each.id !== newest.id), ...added.map(logEntryOf)];
  const parents = new Set([...others, newest].map(({ parent }) => parent));
  const again: Manifest = {
    ...newest,
    generation,
    uploadId: clock.randomHex(16),
    committedAt: newest.committedAt ?? newest.createdAt,
    log: others.toSorted((a, b) => a.generation - b.generation),
    // Their children are unknown, so being tips does not mean that hosts wrote at the same time.
    resolved: [...head.resolved, ...added.filter(({ id }) => !parents.has(id)).map(({ id }) => id)],
    ...(head.pins === undefined ? {} : { pins: head.pins }),
  };
  const manifests = [...work.manifests.filter(({ id }) => id !== newest.id), ...added, again];
  const origins = new Map([...work.origins, ...added.map(({ id }) => [id, 'files'] as const)]);
  return { ...work, head: again, isHeadDue: true, manifests, origins, left };
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
