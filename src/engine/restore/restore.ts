import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import { storeExists } from '../../home/home.ts';
import { listCommitCopies } from '../../log/commit-copies.ts';
import type { CommitCopy } from '../../log/commit-copies.ts';
import type { LogView } from '../../log/commit-log.ts';
import { begin } from '../../platform/concurrently.ts';
import { totalBytes } from '../../log/manifest.ts';
import type { LogEntry, Manifest } from '../../log/manifest.ts';
import { chooseSnapshot, noSuchSnapshot, snapshotAt } from '../history/choose-snapshot.ts';
import type { Context, OnDamage } from '../context.ts';
import { relateToCandidate } from './candidate-relation.ts';
import { warnIfEmptied } from '../emptied-remote.ts';
import { assertSoundStore, damageAtStart, damagedStore, isProven } from '../soundness/go-on.ts';
import { leaveAlone } from './leave-alone.ts';
import type { LeaveAloneResult } from './leave-alone.ts';
import { knownFacts, readLineage } from '../lineage.ts';
import { findLostNewest, manifestOf, readRemote } from '../remote-log.ts';
import type { Lineage } from '../lineage.ts';
import type { GivenView } from '../remote-log.ts';
import { lookAtHost, placeSnapshot } from './place-snapshot.ts';
import type { HostFacts, PlaceOptions, Restored } from './place-snapshot.ts';
import { planRestore } from './plan-restore.ts';
import type { RestoreFacts, RestorePlan } from './plan-restore.ts';
import type { DamagedStore } from '../soundness/judge-store.ts';
import { askBeforeStart } from './start-limit.ts';
import { describeUnknownStore } from './unknown-store.ts';

export interface RestoreOptions extends PlaceOptions {
  /** A snapshot id, a unique beginning of one, `~N` (N before the newest), or `latest`. Default: the newest. */
  readonly snapshot?: string;
  /** The moment to go back to, milliseconds since the epoch: the newest snapshot before it, or `snapshot`, with its log up to there. */
  readonly atMs?: number;
  /** Restore although the local store has something newer, or is in use. */
  readonly force?: boolean;
  /** What to do with a damaged store that would be left alone; default: as the settings say. */
  readonly onDamage?: OnDamage | undefined;
  readonly dryRun?: boolean;
}

export type RestoreResult =
  | { readonly type: 'empty-remote' }
  | (LeaveAloneResult & PassedOver)
  | ({
      readonly type: 'planned';
      readonly id: string;
      readonly why: string;
      readonly bytes: number;
      readonly files: number;
    } & PassedOver)
  | Restored;

interface PassedOver {
  /** Newer snapshots that are damaged or lost, with the reason. Absent if there are none. */
  readonly skipped?: readonly string[];
}

/**
 * Replaces the local store by the right snapshot, or leaves it alone. The caller holds the store's lock and has called
 * `recover`. Until the swap (see `swap.ts`) only staging is written, so a crash costs a download.
 *
 * An application starts on the store when this resolves. So a store that was written since its snapshot is inspected before
 * it is left alone. STORE_CORRUPT if it is damaged, also if the remote is out of reach.
 */
export async function restore(
  context: Context,
  { view, ...options }: RestoreOptions & GivenView = {},
): Promise<RestoreResult> {
  const early = (await storeExists(context.home)) ? undefined : beginEarly(context);
  try {
    return await decide(context, options, {
      view: view ?? (await readLogForStart(context, options)),
      copies: early?.copies.result,
      host: early?.host,
    });
  } catch (error) {
    if (isSyncAgentError(error) && error.outOfReach) await assertSoundStore(context, error.message);
    throw error;
  } finally {
    await early?.copies.cancel();
  }
}

/** Without a store there will be a restore: what it asks besides the log is asked at the same time. */
function beginEarly(context: Context) {
  const copies = begin(context.signal, (signal) => listCommitCopies(context.remote, { signal }));
  const host = lookAtHost(context);
  // Whoever waits for it is told.
  host.catch(() => undefined);
  return { copies, host };
}

interface Asked {
  readonly view: LogView;
  readonly copies: Promise<readonly CommitCopy[]> | undefined;
  readonly host: Promise<HostFacts> | undefined;
}

async function decide(
  context: Context,
  options: RestoreOptions,
  { view, copies, host }: Asked,
): Promise<RestoreResult> {
  const skipped = view.damaged.filter(({ isCopied }) => !isCopied).map(({ error }) => error.message);
  if (view.snapshots.length === 0) {
    await warnIfEmptied(context, view);
    if (options.snapshot !== undefined && options.snapshot !== 'latest')
      throw noSuchSnapshot(options.snapshot, []);
    if (options.interrupted !== undefined) throw incomplete(context, 'the remote holds no snapshot');
    await assertSoundStore(context, `${context.remote.location} holds none`);
    return { type: 'empty-remote' };
  }
  warnSkipped(context, skipped);
  const entries = view.snapshots.map(({ entry }) => entry);
  /** Restore whatever the store holds. `latest` means the newest that is whole; a name means this one only. */
  const isAsked = options.snapshot !== undefined || options.atMs !== undefined;
  const named = isAsked && options.snapshot !== 'latest';
  const { atMs } = options;
  const interrupted = entries.find((entry) => entry.id === options.interrupted?.snapshot);
  // A snapshot that a person committed although the store was damaged is restored only if a person names it.
  const offered =
    named || interrupted !== undefined ? entries : entries.filter(({ damaged }) => damaged !== true);
  if (offered.length === 0) throw noneIsSound(entries);
  const target =
    atMs === undefined || options.snapshot !== undefined
      ? chooseSnapshot(offered, options.snapshot ?? interrupted?.id)
      : snapshotAt(offered, atMs);
  const lineage = await readLineage(context, view);
  const passedOver: string[] = [];
  const local = await localFacts(context, view, lineage, options);
  const { onDamage = context.settings.onDamage } = options;
  let damage: DamagedStore | undefined;

  for (const candidate of offered.slice(0, offered.indexOf(target) + 1).toReversed()) {
    const plan = planRestore({
      snapshots: entries,
      target: candidate,
      local: local.facts,
      // Whatever the store holds, it is not as of that moment. A snapshot that is named is meant as it is, without its log.
      log:
        atMs !== undefined
          ? 'behind'
          : named
            ? undefined
            : await relateToCandidate(context, view, { candidate, local: local.facts }),
      isNamed: isAsked,
      force: options.force ?? false,
    });
    if (plan.type !== 'restore') {
      if (!isAsked && !isProven(local.facts, entries))
        damage ??= await damageAtStart(context, lineage, view, onDamage);
      if (damage === undefined) {
        const isChosen = isAsked && options.dryRun !== true;
        const { fingerprint } = local;
        const left = await leaveAlone(context, { view, lineage, candidate, plan, isChosen, fingerprint });
        return { ...left, ...passedOverBy(skipped) };
      }
      if (onDamage === 'fail') throw notStarted(context, damage, plan, candidate);
    }
    if (candidate === target && !named) {
      // This costs a listing, which is little beside the download.
      const lost = await findLostNewest(context, view, copies);
      skipped.push(...lost);
      warnSkipped(context, lost);
    }
    const why =
      plan.type === 'restore' ? plan.why : `the store is damaged: ${damage?.damage[0]?.message ?? ''}`;
    try {
      const manifest = await manifestOf(context, view, candidate);
      if (options.dryRun === true) return { ...planned(manifest, why), ...passedOverBy(skipped) };
      return await placeSnapshot(context, {
        // A store may have come while the log was awaited, and somebody with it.
        host: lineage.exists ? undefined : host,
        view,
        lineage,
        manifest,
        why,
        damage,
        skipped,
        options,
        isChosen: isAsked || passedOver.length > 0 || options.force === true,
        ...(named && atMs === undefined ? {} : { log: { untilMs: atMs } }),
      });
    } catch (error) {
      if (named || !isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
      if (await hasMovedOn(context, view)) return await restore(context, options);
      skipped.push(error.message);
      passedOver.push(candidate.id);
      warnSkipped(context, [error.message]);
    }
  }
  throw new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot restore any snapshot: ${skipped.join('; ')}`, {
    remedy: 'Run "sync-agent verify --all --read-data" to see what is damaged',
  });
}

/** A restore with --force or a named snapshot waits for the remote. So does one that has no store to fall back on. */
async function readLogForStart(context: Context, options: RestoreOptions): Promise<LogView> {
  const insists =
    options.force === true ||
    options.snapshot !== undefined ||
    options.atMs !== undefined ||
    options.interrupted !== undefined;
  const byDefault = (await storeExists(context.home)) ? presentStoreMs : undefined;
  const ms = context.settings.startTimeoutMs ?? byDefault;
  return insists || ms === undefined ? readRemote(context) : askBeforeStart(context, ms, readRemote);
}

/** Platforms give a start a minute or more. If there is a store, waiting is not worth more than this. */
const presentStoreMs = 20_000;

const passedOverBy = (skipped: readonly string[]): PassedOver => (skipped.length === 0 ? {} : { skipped });

function noneIsSound(entries: readonly LogEntry[]): SyncAgentError {
  const [newest] = entries.slice(-1);
  return new SyncAgentError(
    'SNAPSHOT_CORRUPT',
    `Cannot restore: the store was damaged when each of the ${entries.length} snapshots was made`,
    { remedy: `Take one as it is with "sync-agent restore --snapshot ${newest?.id ?? 'ID'}"` },
  );
}

/** A missing object may have been rotated away by another host. Then the log has a newer commit. */
async function hasMovedOn(context: Context, view: LogView): Promise<boolean> {
  return (await readRemote(context)).head?.generation !== view.head?.generation;
}

async function localFacts(
  context: Context,
  view: LogView,
  lineage: Lineage,
  options: RestoreOptions,
): Promise<LocalFacts> {
  if (!lineage.exists || options.interrupted !== undefined) return { facts: { type: 'missing' } };
  return lineage.parent === undefined
    ? describeUnknownStore(context, view, lineage)
    : { facts: knownFacts(lineage, lineage.parent) };
}

interface LocalFacts {
  readonly facts: RestoreFacts['local'];
  /** Of a store that was compared by content; see `UnknownStore`. */
  readonly fingerprint?: string | null;
}

/** Damage alone is no reason to replace a store that has changes that no snapshot has. */
function notStarted(
  context: Context,
  damage: DamagedStore,
  plan: Exclude<RestorePlan, { type: 'restore' }>,
  { id }: LogEntry,
): SyncAgentError {
  return damagedStore(context, damage, {
    besides: 'why' in plan ? `; and ${plan.why}` : '',
    remedy: `"sync-agent restore --on-damage recover" keeps it as a rollback copy and restores snapshot ${id}; what was written since is then missing`,
  });
}

function incomplete(context: Context, why: string): SyncAgentError {
  return new SyncAgentError(
    'STORE_CORRUPT',
    `Cannot finish the interrupted restore of "${context.home.store}": ${why}`,
  );
}

function warnSkipped(context: Context, messages: readonly string[]): void {
  for (const message of messages) {
    context.emit({
      type: 'warning',
      code: 'SNAPSHOT_CORRUPT',
      message,
      remedy: 'Trying the next older snapshot',
    });
  }
}

function planned(manifest: Manifest, why: string): Extract<RestoreResult, { type: 'planned' }> {
  return {
    type: 'planned',
    id: manifest.id,
    why,
    bytes: totalBytes(manifest.files),
    files: manifest.files.length,
  };
}
