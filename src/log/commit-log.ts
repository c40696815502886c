import { isSyncAgentError, SyncAgentError } from '../platform/errors.ts';
import { textBody } from '../remotes/body.ts';
import type { Body, Remote } from '../remotes/remote.ts';
import { reliableMs } from './retention.ts';
import { commitKey, commitsPrefix, parseCommitKey, probeKey } from './layout.ts';
import { readCopy } from './commit-copies.ts';
import { findTraces, lostLog } from './lost-log.ts';
import { encodeManifest, logEntryOf, manifestProblem, maxManifestBytes } from './manifest.ts';
import type { LogEntry, Manifest } from './manifest.ts';
import { byPrecedence } from './precedence.ts';
import { readManifest } from './read-manifest.ts';
import type { LogSource } from './read-manifest.ts';
import type { AgedEntry } from './retention.ts';

/**
 * The commit log: `commits/<generation>.json`, one create-only object per commit. A snapshot exists when, and only
 * when, the newest commit names it: in itself, or in its `log` of the others that are live. So one listing and one
 * read give the whole picture, and commits form a single chain: whoever creates number n has read number n-1.
 *
 * A commit object that the newest commit does not name is void: rotated away, or created late by a host that slept
 * until its number had been used and freed again. Nobody reads it, and rotation sweeps it.
 */
export interface LogView {
  /** The server's clock when the log was listed. */
  readonly serverTime: Date;
  /** The newest readable commit: it says what is live. Undefined while the remote holds none. */
  readonly head: Manifest | undefined;
  /** Live snapshots, the newest last. Where leases are used, that need not be `head`: see `byPrecedence`. */
  readonly snapshots: readonly AgedEntry[];
  /** Every commit object there is, ascending, void ones too. */
  readonly commits: readonly CommitObject[];
  /** Newer commits than `head` that could not be read, with the reason, or `head` itself where its copy was read. */
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
  /** Nothing is lost: the copy of this commit could be read, and counts. */
  readonly isCopied: boolean;
}

/** A commit read or written earlier. */
export interface KnownCommit {
  readonly manifest: Manifest;
  /** By which its object is recognised; undefined for one that this process has just created. */
  readonly lastModifiedMs: number | undefined;
}

interface Options {
  readonly signal?: AbortSignal | undefined;
}

/** A listed commit that is gone was rotated away since: the listing is old. So often it is made again. */
const listings = 5;

/**
 * Lists the log and reads its newest commit. `known` spares the read when it still is the newest. Damaged commits are
 * passed over where they have no copy, but one that a newer version wrote is not: TOO_NEW. Rejects with
 * SNAPSHOT_CORRUPT where no commit can be read although the remote held snapshots; only for a remote without a commit
 * does finding that out cost a request.
 */
export async function readLog(
  source: LogSource,
  options: Options & { readonly known?: KnownCommit | undefined } = {},
): Promise<LogView> {
  for (let tries = 1; ; tries += 1) {
    try {
      const view = await readListed(source, options);
      if (view.head !== undefined || (await isNew(source, view, options))) return view;
    } catch (error) {
      if (!isSyncAgentError(error, 'NOT_FOUND') || tries === listings) throw error;
    }
  }
}

/** As `readLog`, but a lost log is a view without a head. For those who rebuild it. */
export async function readWhatIsLeft(source: LogSource, options: Options = {}): Promise<LogView> {
  return readListed(source, options);
}

/** False where the first commit was made meanwhile. */
async function isNew(source: LogSource, { commits, damaged }: LogView, options: Options): Promise<boolean> {
  const [newest] = damaged;
  if (newest !== undefined) {
    const { message } = newest.error;
    throw lostLog(source.remote, `none of its ${commits.length} commits can be read: ${message}`);
  }
  const trace = await findTraces(source.remote, options);
  if (trace === undefined) return true;
  if ((await listCommits(source.remote, options)).commits.length > 0) return false;
  throw lostLog(source.remote, `it holds no commit, but "${trace}" shows that it had snapshots`);
}

async function readListed(
  source: LogSource,
  options: Options & { readonly known?: KnownCommit | undefined },
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
      head = await readCopy(source, generation, options);
      damaged.push({ key, error, isCopied: head !== undefined });
    }
    if (head !== undefined)
      return { serverTime, head, snapshots: liveSnapshots(head, commits, serverTime), commits, damaged };
  }
  return { serverTime, head: undefined, snapshots: [], commits, damaged };
}

/** The manifest of a live snapshot: its commit, or the copy of that. Rejects as `readCommit` does. */
export async function readEntry(
  source: LogSource,
  { id, generation }: Pick<LogEntry, 'id' | 'generation'>,
  options: Options = {},
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
    const copy = await readCopy(source, generation, options);
    if (copy?.id === id) return copy;
    throw error;
  }
}

/** Reads and checks one commit. NOT_FOUND, SNAPSHOT_CORRUPT or TOO_NEW name its key. */
export async function readCommit(
  source: LogSource,
  generation: number,
  options: Options = {},
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

/**
 * **The commit.** One create-only put of the number after the newest; it exists afterwards or it does not, and there
 * is no third state. Resolves to undefined when another host took the number: read the log again and decide anew.
 * A lost answer is no failure: whatever the put says, the object itself tells by its upload id whose it is. Rejects
 * with INTERNAL, before it writes, what nobody could read.
 */
export async function createCommit(
  source: LogSource,
  manifest: Manifest,
  options: Options & { readonly createOnly: boolean },
): Promise<{ readonly serverTime: Date } | undefined> {
  const key = commitKey(manifest.generation);
  const body = readableBody(manifest);
  const isOurs = async (): Promise<boolean> => {
    try {
      return (await readManifest(source, key, options)).uploadId === manifest.uploadId;
    } catch (error) {
      // Taken, and rotated away since; or taken by something that is no commit of ours.
      if (isSyncAgentError(error, 'NOT_FOUND') || isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) return false;
      throw error;
    }
  };
  try {
    const { serverTime } = await source.remote.put(key, body, {
      ifAbsent: options.createOnly,
      contentType: 'application/json',
      signal: options.signal,
    });
    return { serverTime };
  } catch (error) {
    if (isSyncAgentError(error, 'ALREADY_EXISTS')) {
      if (!(await isOurs())) return undefined;
    } else if (!isSyncAgentError(error, 'REMOTE_UNREACHABLE') || !(await isOurs().catch(() => false))) {
      throw error;
    }
    const { serverTime } = await listCommits(source.remote, options);
    return { serverTime };
  }
}

function readableBody(manifest: Manifest): Body {
  const body = textBody(encodeManifest(manifest));
  const problem =
    manifestProblem(manifest) ??
    (body.size > maxManifestBytes ? `${body.size} bytes is too large for one` : undefined);
  if (problem === undefined) return body;
  throw new SyncAgentError(
    'INTERNAL',
    `Cannot commit snapshot ${manifest.id}: nobody could read its manifest: ${problem}`,
  );
}

export type CreateOnlySupport = 'enforced' | 'ignored' | 'rejected';

/** So often a second write may come late: where the grace period is short, the network alone can be slow enough. */
const probes = 5;

/**
 * Finds out by trying whether this remote enforces create-only writes. Three requests. `snapshotId` is one that no
 * snapshot will have. Credentials that may not delete leave the probe behind, for a rotation that may: so a second
 * write that comes `graceMs` after the first, from a host that slept, proves nothing, and is taken for a first.
 * 'ignored' may be wrong, if ever so rarely: commits ask for create-only writes there all the same.
 */
export async function probeCreateOnly(
  remote: Remote,
  snapshotId: string,
  options: Options & { readonly graceMs: number },
): Promise<CreateOnlySupport> {
  const key = probeKey(snapshotId);
  /** By the server's clock; undefined when it was refused. */
  const writtenAt = async (text: string): Promise<number | undefined> => {
    try {
      const { serverTime } = await remote.put(key, textBody(text), {
        ifAbsent: true,
        signal: options.signal,
      });
      return serverTime.getTime();
    } catch (error) {
      if (isSyncAgentError(error, 'ALREADY_EXISTS')) return undefined;
      throw error;
    }
  };
  try {
    // Refused at once: an answer was lost, and the repeated write met the first.
    let before = await writtenAt('first');
    for (let tries = 1; before !== undefined; tries += 1) {
      const again = await writtenAt('second');
      const isProof = again !== undefined && again - before < reliableMs(options.graceMs);
      if (isProof || (again !== undefined && tries === probes)) return 'ignored';
      before = again;
    }
    return 'enforced';
  } catch (error) {
    if (isSyncAgentError(error, 'UNSUPPORTED')) return 'rejected';
    throw error;
  } finally {
    // What stays is swept with all other garbage of the history.
    await remote.remove([key], { signal: options.signal }).catch((error: unknown) => {
      if (!isSyncAgentError(error) || error.code === 'INTERRUPTED') throw error;
    });
  }
}

async function listCommits(
  remote: Remote,
  { signal }: Options,
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
 * To commit a snapshot again does not make it younger. One whose commit object is lost is live all the same: dropped in
 * silence, its files would be swept. Of its age only the clock of its host tells then.
 */
function committedMsOf({ committedAt, createdAt }: LogEntry, lastModified: Date | undefined): number {
  if (committedAt !== undefined) return Date.parse(committedAt);
  return lastModified?.getTime() ?? Date.parse(createdAt);
}
