import { SyncAgentError } from '../../platform/errors.ts';
import type { LogView } from '../../log/commit-log.ts';
import type { Pin } from '../../log/manifest.ts';
import { endOfPin, pinsOf } from '../../log/manifest.ts';
import { chooseSnapshot, noSuchSnapshot } from './choose-snapshot.ts';
import type { Context } from '../context.ts';
import { readRemote } from '../remote-log.ts';
import { recommit } from './recommit.ts';

const maxReasonLength = 500;

export interface PinOptions {
  /** Why, for people; at most `maxReasonLength` characters. */
  readonly reason?: string | undefined;
  /** How long, milliseconds. Default: until `unpin`. A pin that lasts longer stays as it is. */
  readonly forMs?: number | undefined;
}

export interface PinResult {
  readonly id: string;
  /** The pin now; undefined if the snapshot is not pinned. */
  readonly pin: Pin | undefined;
  /** False if nothing had to be written. */
  readonly isChanged: boolean;
}

/** Keeps a snapshot until it is unpinned. `name`: as for a restore. A pinned snapshot takes a new reason. */
export async function pin(
  context: Context,
  name: string,
  { reason, forMs }: PinOptions = {},
): Promise<PinResult> {
  assertPinTime(name, forMs);
  if (reason !== undefined && reason.length > maxReasonLength) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot pin snapshot "${name}": the reason has ${reason.length} characters, ${maxReasonLength} is the limit`,
    );
  }
  const view = await readRemote(context);
  const { id } = chooseSnapshot(entriesOf(view), name);
  const present = pinsOf(view.head, view.serverTime).get(id);
  const until = forMs === undefined ? undefined : endOfPin(view.serverTime, forMs);
  if (present !== undefined && isEnough(present, { reason, until })) {
    return { id, pin: present, isChanged: false };
  }
  const { clock, settings } = context;
  const at = new Date(clock.now()).toISOString();
  const fresh: Pin = {
    id,
    reason: reason ?? present?.reason ?? '',
    at,
    host: settings.host,
    ...(until === undefined ? {} : { until }),
  };
  await change(context, view, { action: 'pin', id, pin: fresh });
  return { id, pin: fresh, isChanged: true };
}

/** Removes a pin. The next backup or prune applies the retention rule to the snapshot again. */
export async function unpin(context: Context, name: string): Promise<PinResult> {
  const view = await readRemote(context);
  const { id } = chooseSnapshot(entriesOf(view), name);
  const isChanged = pinsOf(view.head, view.serverTime).has(id);
  if (isChanged) await change(context, view, { action: 'unpin', id, pin: undefined });
  return { id, pin: undefined, isChanged };
}

/** A year. Longer is for good. */
const longestPinMs = 365 * 86_400_000;

function assertPinTime(name: string, forMs: number | undefined): void {
  if (forMs === undefined || (forMs > 0 && forMs <= longestPinMs)) return;
  throw new SyncAgentError(
    'USAGE',
    `Cannot pin snapshot "${name}" for ${forMs} ms: expected more than 0, and at most a year`,
  );
}

/** Whether a pin does what is asked for. One for a time changes neither the reason nor the time of one that lasts longer. */
function isEnough(
  present: Pin,
  { reason, until }: { readonly reason: string | undefined; readonly until: string | undefined },
): boolean {
  if (until !== undefined) return present.until === undefined || present.until >= until;
  return present.until === undefined && (reason === undefined || reason === present.reason);
}

interface Change {
  readonly action: 'pin' | 'unpin';
  readonly id: string;
  readonly pin: Pin | undefined;
}

/** Drops nothing, so a mistaken unpin can be undone until the next backup or prune. */
async function change(context: Context, view: LogView, { action, id, pin: fresh }: Change): Promise<void> {
  const committed = await recommit(context, view, {
    pins: (current) => {
      const entries = entriesOf(current);
      // Another host was faster and dropped it.
      if (!entries.some((entry) => entry.id === id)) throw noSuchSnapshot(id, entries);
      const others = [...pinsOf(current.head, current.serverTime).values()].filter((each) => each.id !== id);
      return fresh === undefined ? others : [...others, fresh];
    },
  });
  // A host that slept may have created a number that was used and freed in the meantime. Nobody reads that commit. The
  // snapshot was live before, so that it is live now proves nothing.
  const { after } = committed ?? {};
  if (after === undefined || pinsOf(after.head, after.serverTime).has(id) === (fresh !== undefined)) return;
  throw new SyncAgentError('BUSY', `Cannot ${action} snapshot ${id}: other hosts went on meanwhile`, {
    remedy: 'Run it again',
  });
}

const entriesOf = (view: LogView) => view.snapshots.map(({ entry }) => entry);
