import { SyncAgentError } from '../../platform/errors.ts';
import type { LogView } from '../../log/commit-log.ts';
import type { Pin } from '../../log/manifest.ts';
import { pinsOf } from '../../log/manifest.ts';
import { planKeepingAll } from '../../log/retention.ts';
import { chooseSnapshot, noSuchSnapshot } from './choose-snapshot.ts';
import type { Context } from '../context.ts';
import { readRemote } from '../remote-log.ts';
import { recommit } from './recommit.ts';

const maxReasonLength = 500;

export interface PinOptions {
  /** Why, for people; at most `maxReasonLength` characters. */
  readonly reason?: string | undefined;
}

export interface PinResult {
  readonly id: string;
  /** The pin now; undefined if the snapshot is not pinned. */
  readonly pin: Pin | undefined;
  /** False if nothing had to be written. */
  readonly isChanged: boolean;
}

/** Keeps a snapshot until it is unpinned. `name`: as for a restore. A pinned snapshot takes a new reason. */
export async function pin(context: Context, name: string, { reason }: PinOptions = {}): Promise<PinResult> {
  if (reason !== undefined && reason.length > maxReasonLength) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot pin snapshot "${name}": the reason has ${reason.length} characters, ${maxReasonLength} is the limit`,
    );
  }
  const view = await readRemote(context);
  const { id } = chooseSnapshot(entriesOf(view), name);
  const present = pinsOf(view.head).get(id);
  if (present !== undefined && (reason === undefined || reason === present.reason)) {
    return { id, pin: present, isChanged: false };
  }
  const { clock, settings } = context;
  const fresh = { id, reason: reason ?? '', at: new Date(clock.now()).toISOString(), host: settings.host };
  await change(context, view, { action: 'pin', id, pin: fresh });
  return { id, pin: fresh, isChanged: true };
}

/** Removes a pin. The next backup or prune applies the retention rule to the snapshot again. */
export async function unpin(context: Context, name: string): Promise<PinResult> {
  const view = await readRemote(context);
  const { id } = chooseSnapshot(entriesOf(view), name);
  const isChanged = pinsOf(view.head).has(id);
  if (isChanged) await change(context, view, { action: 'unpin', id, pin: undefined });
  return { id, pin: undefined, isChanged };
}

interface Change {
  readonly action: 'pin' | 'unpin';
  readonly id: string;
  readonly pin: Pin | undefined;
}

/** Drops nothing, so a mistaken unpin can be undone until the next backup or prune. */
async function change(context: Context, view: LogView, { action, id, pin: fresh }: Change): Promise<void> {
  const committed = await recommit(context, view, {
    retain: (current) => planKeepingAll(entriesOf(current)),
    pins: (current) => {
      const entries = entriesOf(current);
      // Another host was faster and dropped it.
      if (!entries.some((entry) => entry.id === id)) throw noSuchSnapshot(id, entries);
      const others = [...pinsOf(current.head).values()].filter((each) => each.id !== id);
      return fresh === undefined ? others : [...others, fresh];
    },
  });
  // A host that slept may have created a number that was used and freed in the meantime. Nobody reads that commit. The
  // snapshot was live before, so that it is live now proves nothing.
  if (committed === undefined || pinsOf(committed.after.head).has(id) === (fresh !== undefined)) return;
  throw new SyncAgentError('BUSY', `Cannot ${action} snapshot ${id}: other hosts went on meanwhile`, {
    remedy: 'Run it again',
  });
}

const entriesOf = (view: LogView) => view.snapshots.map(({ entry }) => entry);
