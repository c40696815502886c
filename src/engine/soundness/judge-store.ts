import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isSyncAgentError, messageOf } from '../../platform/errors.ts';
import type { Manifest } from '../../log/manifest.ts';
import { fingerprint, isSettled, storeIdentity } from '../../stores/content/fingerprint.ts';
import { stagingRoot } from '../../home/home.ts';
import { scanStore } from '../../stores/content/scan.ts';
import { readState, writeState } from '../../home/state.ts';
import type { InspectOptions, Problem, StoreAdapter, Verdict } from '../../stores/adapter.ts';
import { isSimplerKind } from '../../stores/find-kind.ts';
import { usersText } from '../../stores/capture/in-use.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { snapshotContent } from '../snapshot-content.ts';
import { soundnessOf } from './soundness.ts';

/** What an application would find that is started on the store as it lies. */
export type Soundness =
  | { readonly type: 'sound' }
  | DamagedStore
  /** Somebody works in it, or it cannot be read: `why` is a sentence without a final period. */
  | { readonly type: 'unknown'; readonly why: string; readonly isInUse: boolean };

export interface DamagedStore {
  readonly type: 'damaged';
  readonly damage: readonly Problem[];
  /** That can still be counted; null when that is not known. */
  readonly records: number | null;
  /** By the files' times, milliseconds since the epoch. */
  readonly lastWriteMs: number;
}

/**
 * Looks whether the present store is sound, as its own server would find it, without changing a byte of it. Costs a
 * walk over the tree where it was found sound before and nothing was written since. `parent` is what it grew from: the
 * store is at least of that kind. The caller holds the store's lock.
 */
export async function judgeStore(context: Context, parent: Manifest | undefined): Promise<Soundness> {
  const { home } = context;
  const lookedAtMs = context.clock.now();
  const before = await scanStore(home.store, home.exclude);
  const seen = fingerprint(before);
  if ((await foundSound(context)) === seen) return { type: 'sound' };
  const [user] = await context.findStoreUsers(home.store);
  if (user !== undefined) return unknown(`${usersText([user])} has it open`, true);
  // Who opens a FIFO waits for ever.
  const [oddity] = before.oddities;
  if (oddity !== undefined) return unknown(`of "${oddity.path}", ${oddity.problem}`);
  let looked: Looked;
  try {
    enterPhase(context, 'validate');
    looked = await inspectAsItLies(context, home.store, { parent, level: startLevel(context) });
  } catch (error) {
    if (!isSyncAgentError(error) || error.code === 'INTERRUPTED') throw error;
    return unknown(messageOf(error));
  }
  // A verdict on files that somebody wrote meanwhile is none.
  if (fingerprint(await scanStore(home.store, home.exclude)) !== seen)
    return unknown('somebody writes to it', true);
  const { damage, records } = looked;
  if (damage.length > 0) {
    const newest = before.files.map(({ mtimeNs }) => Number(mtimeNs / 1_000_000n));
    return {
      type: 'damaged',
      damage,
      records: records > 0 ? records : null,
      lastWriteMs: newest.reduce((a, b) => Math.max(a, b), 0),
    };
  }
  if (isSettled(before.files, lookedAtMs)) await rememberSound(context, seen);
  return { type: 'sound' };
}

export interface Looked extends Verdict {
  readonly adapter: StoreAdapter['name'];
  readonly records: number;
}

/**
 * What is wrong with a store that lies in `dir`, where a program may have died. What its server would recover is no
 * damage. `scratch`, staging by default, is not in use; nothing is left of it.
 */
export async function inspectAsItLies(
  context: Context,
  dir: string,
  options: {
    readonly parent: Manifest | undefined;
    readonly level: InspectOptions['level'];
    readonly scratch?: string;
  },
): Promise<Looked> {
  const { home, fs, signal } = context;
  const { parent, level, scratch = stagingRoot(home) } = options;
  const adapter = await expectedAdapter(context, dir, parent);
  const databases = databasesOf(context, parent);
  try {
    const report = await adapter.inspect(dir, { level, databases, scratch, exclude: home.exclude, signal });
    return { adapter: adapter.name, ...soundnessOf(report, parent), records: report.statistics.records };
  } finally {
    await fs.remove(scratch);
  }
}

/** How thoroughly a store is looked at that somebody waits for. */
export const startLevel = ({ settings }: Context): InspectOptions['level'] =>
  settings.validation === 'full' ? 'full' : 'proven';

/**
 * The kind of a store that is to be captured. Where the databases that it is known to have had are there without their
 * headers, it looks like plain files: then it is of the kind that it was, and damaged.
 */
export async function adapterForCapture(
  context: Context,
  known: Manifest | undefined,
): Promise<StoreAdapter> {
  const { home, detectAdapter, adapterNamed } = context;
  const detected = await detectAdapter(home.store);
  if (known === undefined || !isSimplerKind(detected.name, known.adapter)) return detected;
  const before = adapterNamed(known.adapter);
  // With a database it is of that kind, and plain files because a person says so.
  if (await before.detect(home.store)) return detected;
  const sizes = databasesOf(context, known).map(
    async (path) => (await stat(join(home.store, path)).catch(() => undefined))?.size ?? 0,
  );
  return (await Promise.all(sizes)).some((size) => size > 0) ? before : detected;
}

/** A store without its database looks like something simpler, with which nothing can be wrong. */
async function expectedAdapter(
  { detectAdapter, adapterNamed }: Context,
  dir: string,
  parent: Manifest | undefined,
): Promise<StoreAdapter> {
  const detected = await detectAdapter(dir);
  if (parent === undefined) return detected;
  return isSimplerKind(detected.name, parent.adapter) ? adapterNamed(parent.adapter) : detected;
}

/** The databases that a store is known to have had, without those that are excluded by now. */
export function databasesOf(
  { adapterNamed, home }: Pick<Context, 'adapterNamed' | 'home'>,
  manifest: Manifest | undefined,
): readonly string[] {
  if (manifest === undefined) return [];
  const { files } = snapshotContent(manifest, home.exclude);
  const paths = files.filter(({ size }) => size > 0).map(({ path }) => path);
  const { databases = adapterNamed(manifest.adapter).databasesAmong(paths) } = manifest;
  return databases.filter((path) => paths.includes(path));
}

async function foundSound({ home }: Context): Promise<string | undefined> {
  const local = await readState(home);
  return local?.identity === (await storeIdentity(home.store)) ? local.sound : undefined;
}

async function rememberSound({ home, fs }: Context, sound: string): Promise<void> {
  const identity = await storeIdentity(home.store);
  const local = await readState(home);
  const remotes = local?.identity === identity ? local.remotes : {};
  await writeState(fs, home, { format: 1, identity, remotes, sound });
}

function unknown(why: string, isInUse = false): Soundness {
  return { type: 'unknown', why, isInUse };
}
