import { allOf } from '../../platform/concurrently.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { writeCommitCopy } from '../../log/commit-copies.ts';
import type { CommitCopy } from '../../log/commit-copies.ts';
import type { LogView } from '../../log/commit-log.ts';
import type { CreateOnlySupport } from '../../log/create-only.ts';
import { attemptKey } from '../../log/layout.ts';
import { inPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { rotate } from '../history/rotate.ts';
import type { Committed } from './commit.ts';

/** The steps after a commit: its copy, the current files, rotation. The next backup repeats a step that fails here. */
export async function finishCommit(
  context: Context,
  work: {
    /** The log before the backup. */
    readonly view: LogView;
    readonly committed: Committed;
    readonly copies: readonly CommitCopy[];
    readonly createOnly: CreateOnlySupport;
    /** Whether to delete what no commit names any more. */
    readonly rotates: boolean;
    /** False: another commit follows at once, and shows its own. Default true. */
    readonly publishes?: boolean;
  },
): Promise<void> {
  const { remote } = context;
  const { committed, copies } = work;
  const { manifest } = committed;
  const { head } = work.view;
  const createOnly = work.createOnly !== 'rejected';
  // None needs the others, and all wait for the server most of the time.
  await allOf(context.signal, [
    async (signal) => {
      if (work.publishes === false) return;
      await attempt(context, 'publish', () => publish({ ...context, signal }, committed));
    },
    (signal) =>
      attempt(context, 'copy its commit', async () => {
        if (head !== undefined && !copies.some(({ generation }) => generation === head.generation))
          await writeCommitCopy(remote, head, { createOnly, signal });
        await writeCommitCopy(remote, manifest, { createOnly, signal });
        if (head === undefined) await remote.remove([attemptKey(manifest.id)], { signal });
      }),
    async (signal) => {
      if (!work.rotates) return;
      await attempt(context, 'rotate', () =>
        rotate({ ...context, signal }, { commit: manifest, committedAt: committed.serverTime }),
      );
    },
  ]);
}

/** Shows the snapshot to people, unless another host's is the newest. */
async function publish(context: Context, { manifest, before, after }: Committed): Promise<void> {
  const format = context.formats.of(manifest);
  if (format.publish === undefined || newestId(after) !== manifest.id) return;
  await inPhase(context, 'publish', async () =>
    format.publish?.(context, { manifest, before: newestId(before) }),
  );
}

const newestId = (view: LogView): string | undefined => view.snapshots.at(-1)?.entry.id;

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
