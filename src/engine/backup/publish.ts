import { readEntry, readLog } from '../../log/commit-log.ts';
import type { LogView } from '../../log/commit-log.ts';
import { logEntryOf } from '../../log/manifest.ts';
import { byPrecedence } from '../../log/precedence.ts';
import { inPhase } from '../context.ts';
import type { Context } from '../context.ts';
import type { Created } from './commit.ts';

/**
 * Shows a snapshot to people, unless another host's stays the newest. Begins while the log after the commit is still being
 * read. If that has another one as the newest, that one is shown: some of its current files may be ours by now. `after`: as
 * `readLogAfter`.
 */
export async function publish(
  context: Context,
  { manifest, before }: Created,
  after: Promise<LogView | undefined>,
): Promise<void> {
  const format = context.formats.of(manifest);
  const entries = [...before.snapshots.map(({ entry }) => entry), logEntryOf(manifest)];
  const newest = entries.toSorted(byPrecedence).at(-1);
  if (format.publish === undefined || newest?.id !== manifest.id) return;
  const isNewest = after.then(
    (view) => view === undefined || newestId(view) === manifest.id,
    () => false,
  );
  try {
    await inPhase(context, 'publish', async () =>
      format.publish?.(context, { manifest, before: newestId(before), isNewest }),
    );
  } finally {
    const view = await after;
    if (view !== undefined && newestId(view) !== manifest.id) await publishNewest(context, view);
  }
}

/** Again until no other host has committed meanwhile. */
async function publishNewest(context: Context, after: LogView): Promise<void> {
  const { signal } = context;
  let shown: string | undefined;
  for (let view = after; ; view = await readLog(context, { signal })) {
    const newest = view.snapshots.at(-1)?.entry;
    if (newest === undefined || newest.id === shown) return;
    const manifest = await readEntry(context, newest, { signal });
    const work = { manifest, before: undefined, isNewest: Promise.resolve(true) };
    await context.formats.of(manifest).publish?.(context, work);
    shown = newest.id;
  }
}

const newestId = (view: LogView): string | undefined => view.snapshots.at(-1)?.entry.id;
