import { SyncAgentError } from '../../platform/errors.ts';
import type { LogView } from '../../log/commit-log.ts';
import type { LogEntry, Manifest } from '../../log/manifest.ts';
import { storeExists } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';
import type { Context, OnDamage } from '../context.ts';
import { lastKnownManifest } from '../known-manifests.ts';
import { manifestIfReadable } from '../remote-log.ts';
import type { Lineage } from '../lineage.ts';
import { readLocalStatus } from '../local-status.ts';
import type { RestoreFacts } from '../restore/plan-restore.ts';
import { judgeStore } from './judge-store.ts';
import type { DamagedStore } from './judge-store.ts';
import { messagesOf } from './soundness.ts';

/**
 * The damage of a store that is about to be left in its place, for an application to start on; undefined when it is
 * sound. Where nobody can tell, a warning says so; with `recover` that is BUSY while somebody works in the store.
 */
export async function damageAtStart(
  context: Context,
  lineage: Lineage,
  view: LogView,
  onDamage: OnDamage,
): Promise<DamagedStore | undefined> {
  const soundness = await judgeStore(context, await grownFrom(context, lineage, view));
  switch (soundness.type) {
    case 'sound':
      return undefined;
    case 'damaged':
      return soundness;
    case 'unknown': {
      const { home, emit } = context;
      const { why, isInUse } = soundness;
      if (isInUse && onDamage === 'recover') {
        throw new SyncAgentError('BUSY', `Cannot tell whether "${home.store}" is sound: ${why}`, {
          remedy: 'Stop it first, or go on without --on-damage recover',
        });
      }
      const message = `Nobody looked whether the store is sound: ${why}`;
      emit({ type: 'warning', code: isInUse ? 'BUSY' : 'NOTICE', message });
      return undefined;
    }
    default:
      return soundness satisfies never;
  }
}

/** Whether the store is known to hold what a snapshot holds, which was found sound. */
export function isProven(local: RestoreFacts['local'], snapshots: readonly LogEntry[]): boolean {
  if (local.type === 'missing') return true;
  const equalTo = local.type === 'unknown' ? local.equals : local.isUnchanged ? local.parent : undefined;
  return equalTo !== undefined && snapshots.find(({ id }) => id === equalTo)?.damaged !== true;
}

/**
 * Rejects with STORE_CORRUPT when there is a store, and it is damaged: for starts without the remote, `why` there is
 * none. Asks nobody. A store that an interrupted restore left incomplete is for the next restore to finish.
 */
export async function assertSoundStore(context: Context, why?: string): Promise<void> {
  const { home } = context;
  if (!(await storeExists(home)) || (await readJournal(home)) !== undefined) return;
  const parent = await lastKnownManifest(context);
  if ((await readLocalStatus(context)).isUnchanged && parent?.damage === undefined) return;
  const soundness = await judgeStore(context, parent);
  if (soundness.type !== 'damaged') return;
  throw damagedStore(context, soundness, {
    ...(why === undefined ? {} : { besides: `, and no snapshot can be restored instead: ${why}` }),
    remedy:
      'Keep a copy of it. Once the remote answers, "sync-agent restore --on-damage recover" restores what it has',
  });
}

/** That an application must not start on the store. */
export function damagedStore(
  { home }: Context,
  { damage }: DamagedStore,
  { besides = '', remedy }: { readonly besides?: string; readonly remedy: string },
): SyncAgentError {
  return new SyncAgentError(
    'STORE_CORRUPT',
    `Cannot go on with "${home.store}": it is damaged: ${messagesOf(damage)}${besides}`,
    { remedy },
  );
}

/** What the store was last known to hold. */
async function grownFrom(
  context: Context,
  { parent }: Lineage,
  view: LogView,
): Promise<Manifest | undefined> {
  const kept = await lastKnownManifest(context);
  if (parent === undefined || kept?.id === parent) return kept;
  const aged = view.snapshots.find(({ entry }) => entry.id === parent);
  return aged && manifestIfReadable(context, view, aged.entry);
}
