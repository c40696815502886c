import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import type { ObjectInfo } from '../../remotes/remote.ts';
import { listCommitCopies, readCommitCopy } from '../../log/commit-copies.ts';
import { readCommit, readWhatIsLeft } from '../../log/commit-log.ts';
import { attemptsPrefix, historyPrefix, isProbeKey, manifestKey, snapshotOfKey } from '../../log/layout.ts';
import type { Manifest } from '../../log/manifest.ts';
import { readManifest } from '../../log/read-manifest.ts';
import type { Context } from '../context.ts';

/** Everything in a remote that says something about its snapshots. */
export interface Remains {
  /** Commit objects by number; undefined for one that cannot be read. */
  readonly commits: ReadonlyMap<number, Manifest | undefined>;
  /** Copies of commits by number; undefined for one that cannot be read. */
  readonly copies: ReadonlyMap<number, Manifest | undefined>;
  /** `manifest.json`, if it can be read. */
  readonly published: Manifest | undefined;
  /** The objects of each history directory, by snapshot, without those of interrupted first backups. */
  readonly directories: ReadonlyMap<string, readonly ObjectInfo[]>;
}

/** Costs one request for each commit, each copy, and each thousand objects of the history. */
export async function readRemains(context: Context): Promise<Remains> {
  const { remote, signal } = context;
  const commits = new Map<number, Manifest | undefined>();
  for (const { generation } of (await readWhatIsLeft(context, { signal })).commits)
    commits.set(generation, await unlessDamaged(() => readCommit(context, generation, { signal })));
  const copies = new Map<number, Manifest | undefined>();
  for (const { generation } of await listCommitCopies(remote, { signal }))
    copies.set(generation, await readCommitCopy(context, generation, { signal }));
  const published = await unlessDamaged(() => readManifest(context, manifestKey, { signal }));

  const attempts = new Set<string>();
  const directories = new Map<string, ObjectInfo[]>();
  for await (const page of remote.list(historyPrefix, { signal })) {
    for (const object of page.objects) {
      const { key } = object;
      if (key.startsWith(attemptsPrefix)) attempts.add(key.slice(attemptsPrefix.length));
      const owner = snapshotOfKey(key);
      if (owner === undefined || attempts.has(owner) || isProbeKey(key)) continue;
      directories.set(owner, [...(directories.get(owner) ?? []), object]);
    }
  }
  return { commits, copies, published, directories };
}

async function unlessDamaged(read: () => Promise<Manifest>): Promise<Manifest | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SyncAgentError && lost.some((code) => isSyncAgentError(error, code)))
      return undefined;
    throw error;
  }
}

const lost = ['NOT_FOUND', 'SNAPSHOT_CORRUPT'] as const;
