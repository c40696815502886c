import { SyncAgentError } from '../../platform/errors.ts';
import { logEntryOf } from '../../log/manifest.ts';
import type { LogEntry, Manifest } from '../../log/manifest.ts';
import { byPrecedence } from '../../log/precedence.ts';
import type { Context } from '../context.ts';
import { readDirectory } from './manifest-from-files.ts';
import { freeNumbers, planRepair } from './plan-repair.ts';
import type { Origin } from './plan-repair.ts';
import type { Remains } from './read-remains.ts';

/** The log of a remote, made anew from what is left of it. */
export interface Rebuilt {
  readonly head: Manifest;
  /** The head does not exist as a commit. */
  readonly isHeadDue: boolean;
  /** Of every live snapshot that can be described, the head included. */
  readonly manifests: readonly Manifest[];
  readonly origins: ReadonlyMap<string, Origin>;
  /** Directories that are left alone, and why. */
  readonly left: readonly { readonly id: string; readonly why: string }[];
  /** Live snapshots that nothing describes any more. */
  readonly unknown: readonly { readonly entry: LogEntry; readonly why: string }[];
}

/** Reads what `planRepair` found, and puts the log together. REFUSED if two commits contradict each other. */
export async function rebuildLog(context: Context, remains: Remains): Promise<Rebuilt> {
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
