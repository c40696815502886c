import { summarise } from '../../history/history.ts';
import type { Check, Finding, RemoteFacts } from '../check.ts';

/** Whether there are snapshots, and all commits can be read. */
export const snapshotsCheck: Check<RemoteFacts> = {
  name: 'snapshots',
  find: async ({ view }) => {
    const remedy = 'Run "sync-agent verify --all"; the next backup makes a new snapshot';
    const damaged = view.damaged.map(({ error }): Finding => ({
      status: 'fail',
      code: 'SNAPSHOT_CORRUPT',
      detail: error.message,
      remedy,
    }));
    const newest = summarise(view).at(-1);
    if (newest === undefined)
      return [...damaged, { status: 'warn', detail: 'there is none yet', remedy: 'Run "sync-agent backup"' }];
    const minutes = Math.max(0, Math.round(newest.ageMs / 60_000));
    const detail = `${view.snapshots.length}, the newest is ${newest.id}, ${minutes} min old`;
    return [...damaged, { status: 'ok', detail }];
  },
};
