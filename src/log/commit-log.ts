import { begin } from '../platform/concurrently.ts';
import { isSyncAgentError, SyncAgentError } from '../platform/errors.ts';
import type { CallOptions, Remote } from '../remotes/remote.ts';
import { commitKey, commitsPrefix, parseCommitKey } from './layout.ts';
import { readCommitCopy } from './commit-copies.ts';
import { findTraces, lostLog } from './lost-log.ts';
import { logEntryOf } from './manifest.ts';
import type { LogEntry, Manifest } from './manifest.ts';
import { byPrecedence } from './precedence.ts';
import { readManifest } from './read-manifest.ts';
import type { LogSource } from './read-manifest.ts';
import type { AgedEntry } from './retention.ts';

/**
 * The commit log: `commits/<generation>.json`, one create-only object per commit. A snapshot exists if, and only if, the newest
 * commit names it: as its own, or in its `log` of the other live snapshots. So one listing and one read show everything, and the
 * commits form a single chain: a host has read number n-1 before it creates number n.
 *
 * A commit object that the newest commit does not name is void. It was rotated away, or a host that had slept created it late,
 * after its number had been used and freed again. Nobody reads it, and rotation removes it.
 */
export interface LogView {
  /** The server's clock when the log was listed. */
  readonly serverTime: Date;
  /** The newest readable commit: it says which snapshots are live. Undefined if the remote has no commit. */
  readonly head: Manifest | undefined;
  /** Live snapshots, the newest last. With leases the newest need not be `head`: see `byPrecedence`. */
  readonly snapshots: readonly AgedEntry[];
  /** All commit objects, void ones too, ascending. */
  readonly commits: readonly CommitObject[];
  /** Commits that could not be read, with the reason: those that are newer than `head`, and `head` itself if its copy was read. */
  readonly damaged: readonly DamagedCommit[];
}

export interface CommitObject {
  readonly generation: number;
  readonly key: string;
  readonly lastModified: Date;
}

export interface DamagedCommit {
  readonly key: string;
  readonly error: SyncAgentError;
  /** Nothing is lost: the copy of this commit was read and counts. */
  readonly isCopied: boolean;
}

/** A commit that was read or written earlier. */
export interface KnownCommit {
  readonly manifest: Manifest;
  /** Identifies its object. Undefined for a commit that this process has just created. */
  readonly lastModifiedMs: number | undefined;
}

/** If a listed commit is gone, it was rotated away since, and the listing is stale. The log is then listed again, up to this often. */
const maxListings = 5;

export interface ReadLogOptions extends CallOptions {
  readonly known?: KnownCommit | undefined;
  /** The remote has probably no commit: what else shows that it had one is looked for at the same time. Default false. */
  readonly isProbablyNew?: boolean;
}

/**
 * Lists the log and reads its newest commit. The read is saved if `known` is still the newest. A damaged commit that has no
 * copy is skipped. A commit that a newer version wrote is not skipped: TOO_NEW. Rejects with SNAPSHOT_CORRUPT if no commit can
 * be read although the remote had snapshots. That check costs extra requests only if the remote has no commit, or probably none.
 */
export async function readLog(source: LogSource, options: ReadLogOptions = {}): Promise<LogView> {
  const lookForTraces = (signal: AbortSignal): Promise<string | undefined> =>
    findTraces(source.remote, { signal });
  const early = options.isProbablyNew === true ? begin(options.signal, lookForTraces) : undefined;
  try {
    for (let tries = 1; ; tries += 1) {
      try {
        const view = await readListed(source, options);
        const traces = tries === 1 ? early?.result : undefined;
        if (view.head !== undefined || (await isNew(source, view, { ...options, traces }))) return view;
      } catch (error) {
        if (!isSyncAgentError(error, 'NOT_FOUND') || tries === maxListings) throw error;
      }
    }
  } finally {
    await early?.cancel();
  }
}

/** As `readLog`, but a lost log gives a view without a head. For the repair of the remote. */
export async function readWhatIsLeft(source: LogSource, options: CallOptions = {}): Promise<LogView> {
  return readListed(source, options);
}

/** Whether the remote never had a snapshot. False if another host made the first commit in the meantime. */
async function isNew(
  source: LogSource,
  { commits, damaged }: LogView,
  { traces, ...options }: CallOptions & { readonly traces: Promise<string | undefined> | undefined },
): Promise<boolean> {
  const [newest] = damaged;
  if (newest !== undefined) {
    const { message } = newest.error;
    throw lostLog(source.remote, `none of its ${commits.length} commits can be read: ${message}`);
  }
  const trace = await (traces ?? findTraces(source.remote, options));
  if (trace === undefined) return true;
  if ((await listCommits(source.remote, options)).commits.length > 0) return false;
  throw lostLog(source.remote, `it holds no commit, but "${trace}" shows that it had snapshots`);
}

async function readListed(
  source: LogSource,
  options: CallOptions & { readonly known?: KnownCommit | undefined },
): Promise<LogView> {
  const { commits, serverTime } = await listCommits(source.remote, options);
  const damaged: DamagedCommit[] = [];
  for (const commit of commits.toReversed()) {
    const { generation, key } = commit;
    const { known } = options;
    let head: Manifest | undefined;
    try {
      head = isKnown(commit, known) ? known.manifest : await readCommit(source, generation, options);
    } catch (error) {
      if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
      head = await readCommitCopy(source, generation, options);
      damaged.push({ key, error, isCopied: head !== undefined });
    }
    if (head !== undefined)
      return { serverTime, head, snapshots: liveSnapshots(head, commits, serverTime), commits, damaged };
  }
  return { serverTime, head: undefined, snapshots: [], commits, damaged };
}

/** The manifest of a live snapshot: from its commit, or from the copy of it. Rejects as `readCommit` does. */
export async function readEntry(
  source: LogSource,
  { id, generation }: Pick<LogEntry, 'id' | 'generation'>,
  options: CallOptions = {},
): Promise<Manifest> {
  try {
    const manifest = await readCommit(source, generation, options);
    if (manifest.id === id) return manifest;
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot read snapshot ${id}: "${commitKey(generation)}" is the commit of ${manifest.id}`,
    );
  } catch (error) {
    if (!isSyncAgentError(error, 'NOT_FOUND') && !isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
    const copy = await readCommitCopy(source, generation, options);
    if (copy?.id === id) return copy;
    throw error;
  }
}

/** Reads and checks one commit. Rejects with NOT_FOUND, SNAPSHOT_CORRUPT or TOO_NEW, and names its key. */
export async function readCommit(
  source: LogSource,
  generation: number,
  options: CallOptions = {},
): Promise<Manifest> {
  const key = commitKey(generation);
  const manifest = await readManifest(source, key, options);
  if (manifest.generation !== generation) {
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot read manifest "${key}": it says generation ${manifest.generation}`,
    );
  }
  return manifest;
}

/** Every commit object, ascending, and the server's clock. */
export async function listCommits(
  remote: Remote,
  { signal }: CallOptions,
): Promise<{ readonly commits: readonly CommitObject[]; readonly serverTime: Date }> {
  const commits: CommitObject[] = [];
  let serverTime = new Date(0);
  for await (const page of remote.list(commitsPrefix, { signal })) {
    serverTime = page.serverTime;
    for (const { key, lastModified } of page.objects) {
      const generation = parseCommitKey(key);
      if (generation !== undefined) commits.push({ generation, key, lastModified });
    }
  }
  return { commits, serverTime };
}

function isKnown(commit: CommitObject, known: KnownCommit | undefined): known is KnownCommit {
  return (
    known?.manifest.generation === commit.generation &&
    (known.lastModifiedMs ?? commit.lastModified.getTime()) === commit.lastModified.getTime()
  );
}

function liveSnapshots(
  head: Manifest,
  commits: readonly CommitObject[],
  serverTime: Date,
): readonly AgedEntry[] {
  const modified = new Map(commits.map((commit) => [commit.generation, commit.lastModified]));
  const entries: readonly LogEntry[] = [...head.log, logEntryOf(head)];
  return entries.toSorted(byPrecedence).map((entry) => ({
    entry,
    ageMs: serverTime.getTime() - committedMsOf(entry, modified.get(entry.generation)),
  }));
}

/**
 * A snapshot that is committed again does not become younger. A snapshot whose commit object is lost stays live: otherwise
 * its files would be deleted silently. Its age is then known only by the clock of its host.
 */
function committedMsOf({ committedAt, createdAt }: LogEntry, lastModified: Date | undefined): number {
  if (committedAt !== undefined) return Date.parse(committedAt);
  return lastModified?.getTime() ?? Date.parse(createdAt);
}
