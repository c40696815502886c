import { isSyncAgentError } from '../../platform/errors.ts';
import type { LogView } from '../../log/commit-log.ts';
import { manifestKey } from '../../log/layout.ts';
import { readManifest } from '../../log/read-manifest.ts';
import type { Context } from '../context.ts';
import { verify } from '../history/verify.ts';

export interface ExaminedLog {
  /** In sentences. */
  readonly problems: readonly string[];
  /** A commit is damaged, and its copy counts. */
  readonly isCopyUsed: boolean;
}

/**
 * What is wrong with the list of snapshots, and which objects of one of them are missing or have another size: every commit is read,
 * with the copy of this one, and `manifest.json`.
 */
export async function examineLog(context: Context, view: LogView, id: string): Promise<ExaminedLog> {
  const { snapshots, damagedCommits } = await verify(context, { snapshot: id });
  const problems = [
    ...damagedCommits,
    ...snapshots.flatMap((each) => each.problems),
    ...(await publishedProblem(context, view)),
  ];
  return {
    problems: [...new Set(problems)],
    isCopyUsed: view.damaged.some(({ isCopied }) => isCopied) || damagedCommits.length > 0,
  };
}

/** A crash after a commit leaves an older one, or none: the next backup writes it. */
async function publishedProblem(context: Context, { snapshots }: LogView): Promise<readonly string[]> {
  try {
    const published = await readManifest(context, manifestKey, { signal: context.signal });
    const entry = snapshots.find((each) => each.entry.id === published.id);
    return entry === undefined
      ? [`"${manifestKey}" is of snapshot ${published.id}, which is not in the list`]
      : [];
  } catch (error) {
    if (isSyncAgentError(error, 'NOT_FOUND')) return [];
    if (isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) return [error.message];
    throw error;
  }
}
