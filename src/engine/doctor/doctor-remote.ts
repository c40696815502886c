import type { LogView } from '../../log/commit-log.ts';
import type { Context } from '../context.ts';
import type { DoctorCheck } from './doctor-check.ts';
import { probeRemote } from './doctor-probe.ts';
import { findEmptied } from '../emptied-remote.ts';
import { summarise } from '../history/history.ts';
import { readLineage } from '../lineage.ts';
import { askRemote, relate } from '../status.ts';
import { describeVersioning } from './versioned-bucket.ts';

/** Reading first: when that fails, nothing else would say more. */
export async function checkRemote(context: Context): Promise<readonly DoctorCheck[]> {
  const view = await askRemote(context);
  if (!('snapshots' in view)) {
    return [{ name: 'read', status: 'fail', code: view.code, detail: view.message, remedy: view.remedy }];
  }
  return [
    { name: 'read', status: 'ok', detail: `${context.remote.location} can be listed and read` },
    ...(await probeRemote(context)),
    ...(await checkTraits(context)),
    ...checkSnapshots(view),
    await checkLineage(context, view),
  ];
}

/** What the bucket, or what stands before it, does of its own accord. */
async function checkTraits({ remote, signal }: Context): Promise<readonly DoctorCheck[]> {
  const traits = (await remote.traits?.({ signal })) ?? {};
  const versioning = describeVersioning(traits);
  return [
    ...(traits.proxy === undefined
      ? []
      : [{ name: 'proxy', status: 'ok' as const, detail: `requests go through ${traits.proxy}` }]),
    ...(versioning === undefined
      ? []
      : [
          {
            name: 'versions',
            status: 'warn' as const,
            detail: versioning.message,
            remedy: versioning.remedy,
          },
        ]),
  ];
}

function checkSnapshots(view: LogView): readonly DoctorCheck[] {
  const name = 'snapshots';
  const newest = summarise(view).at(-1);
  const damaged = view.damaged.map(({ error }): DoctorCheck => ({
    name,
    status: 'fail',
    code: 'SNAPSHOT_CORRUPT',
    detail: error.message,
    remedy: 'Run "sync-agent verify --all"; the next backup makes a new snapshot',
  }));
  if (newest === undefined)
    return [
      ...damaged,
      { name, status: 'warn', detail: 'there is none yet', remedy: 'Run "sync-agent backup"' },
    ];
  const minutes = Math.max(0, Math.round(newest.ageMs / 60_000));
  return [
    ...damaged,
    {
      name,
      status: 'ok',
      detail: `${view.snapshots.length}, the newest is ${newest.id}, ${minutes} min old`,
    },
  ];
}

async function checkLineage(context: Context, view: LogView): Promise<DoctorCheck> {
  const name = 'lineage';
  const tips = summarise(view).filter((each) => each.isTip);
  if (tips.length > 1) {
    return {
      name,
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
    return { name, status: 'fail', code: 'REFUSED', detail: emptied.why, remedy: emptied.remedy };
  const relation = relate(await readLineage(context, view), view);
  if (relation !== 'diverged')
    return { name, status: 'ok', detail: `one tip; the store is ${words[relation]}` };
  return {
    name,
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
