import { allOf } from '../../platform/concurrently.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { writeCommitCopy } from '../../log/commit-copies.ts';
import type { CommitCopy } from '../../log/commit-copies.ts';
import type { LogView } from '../../log/commit-log.ts';
import type { CreateOnlySupport } from '../../log/create-only.ts';
import { attemptKey } from '../../log/layout.ts';
import type { Context } from '../context.ts';
import { rotate } from '../history/rotate.ts';
import { confirmCommit, readLogAfter } from './commit.ts';
import type { Committed, Created } from './commit.ts';
import { publish } from './publish.ts';

/**
 * What follows a commit that was created: a look at the log, which confirms it, the current files, the commit's copy, rotation. The
 * next backup repeats a step that fails here. Rejects if the commit is void.
 */
export async function finishCommit(
  context: Context,
  created: Created,
  work: {
    /** The log before the backup. */
    readonly view: LogView;
    readonly copies: readonly CommitCopy[];
    readonly createOnly: CreateOnlySupport;
    /** Whether to delete what no commit names any more. */
    readonly rotates: boolean;
    /** False: another commit follows at once, and shows its own. */
    readonly publishes: boolean;
    /** Called once the commit is confirmed, and awaited. */
    readonly onCommitted: (committed: Committed) => Promise<void> | void;
  },
): Promise<Committed> {
  const { remote } = context;
  const { manifest } = created;
  const { head } = work.view;
  const createOnly = work.createOnly !== 'rejected';
  const read = readLogAfter(context, created);
  const confirmed = confirmCommit(context, created, read);
  // They wait for the server most of the time, and as little as can be for each other.
  const [committed] = await allOf(context.signal, [
    async () => {
      await work.onCommitted(await confirmed);
      return confirmed;
    },
    async () => {
      // Goes on if the commit is void: another host's may have to be shown.
      if (work.publishes) await attempt(context, 'publish', () => publish(context, created, read));
    },
    async (signal) => {
      await confirmed;
      await attempt(context, 'copy its commit', async () => {
        if (head !== undefined && !work.copies.some(({ generation }) => generation === head.generation))
          await writeCommitCopy(remote, head, { createOnly, signal });
        await writeCommitCopy(remote, manifest, { createOnly, signal });
        if (head === undefined) await remote.remove([attemptKey(manifest.id)], { signal });
      });
    },
    async (signal) => {
      if (!work.rotates) return;
      await attempt(context, 'rotate', () =>
        rotate({ ...context, signal }, { commit: manifest, committedAt: created.serverTime, after: read }),
      );
    },
  ]);
  return committed;
}

/** The snapshot exists, so a failure now is a warning. */
async function attempt(context: Context, what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof SyncAgentError) || error.code === 'INTERRUPTED') throw error;
    context.emit({
      type: 'warning',
      code: error.code,
      message: `The snapshot is committed, but to ${what} failed: ${error.message}`,
      remedy: 'The next backup does it again',
    });
  }
}
