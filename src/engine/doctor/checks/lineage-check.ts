import type { LogView } from '../../../log/commit-log.ts';
import type { Context } from '../../context.ts';
import { findEmptied } from '../../emptied-remote.ts';
import { summarise } from '../../history/history.ts';
import { readLineage } from '../../lineage.ts';
import { relate } from '../../relation.ts';
import type { Check, Finding, RemoteFacts } from '../check.ts';

/** Whether hosts wrote beside each other, and how the store stands to the newest snapshot. */
export const lineageCheck: Check<RemoteFacts> = {
  name: 'lineage',
  find: async ({ context, view }) => [await describeLineage(context, view)],
};

async function describeLineage(context: Context, view: LogView): Promise<Finding> {
  const tips = summarise(view).filter((each) => each.isTip);
  if (tips.length > 1) {
    return {
      status: 'fail',
      code: 'DIVERGED',
      detail: `hosts wrote beside each other: ${tips.map(({ id, host }) => `${id} (${host})`).join(', ')}`,
      remedy:
        'Decide which one goes on: if the newest, run "sync-agent prune --resolve" with each of the others; ' +
        'if another, "sync-agent restore --snapshot" with that one, then "sync-agent backup"',
    };
  }
  const emptied = await findEmptied(context, view);
  if (emptied !== undefined)
    return { status: 'fail', code: 'REFUSED', detail: emptied.why, remedy: emptied.remedy };
  const relation = relate(await readLineage(context, view), view);
  if (relation !== 'diverged') return { status: 'ok', detail: `one tip; the store is ${words[relation]}` };
  return {
    status: 'fail',
    code: 'DIVERGED',
    detail: 'the store was written after another host made the newest snapshot',
    remedy:
      'Run "sync-agent backup" to keep both, or "sync-agent restore --force" to give the local changes up',
  };
}

const words = {
  'no-store': 'missing',
  'empty-remote': 'not backed up yet',
  'up-to-date': 'up to date',
  changed: 'newer than its snapshot',
  chosen: 'restored in place of the newest snapshot',
  behind: 'behind',
  unknown: 'of unknown origin',
  incomplete: 'incomplete',
} as const;
