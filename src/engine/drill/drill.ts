import { isSyncAgentError } from '../../platform/errors.ts';
import { readLog } from '../../log/commit-log.ts';
import type { LogView } from '../../log/commit-log.ts';
import { totalBytes } from '../../log/manifest.ts';
import { readDrillRecord } from '../../home/records/drill-record.ts';
import { lockDrill } from '../../home/lock.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { manifestOf } from '../remote-log.ts';
import { chooseDrilled } from './choose-drilled.ts';
import type { Chosen, DrillChoice } from './choose-drilled.ts';
import { isRemoteDamage } from './damage-kinds.ts';
import type { DamageKind } from './damage-kinds.ts';
import { damageInRemote } from './damage-remote.ts';
import { assertRoomForDrill, makeDrillPlace } from './drill-place.ts';
import type { DrillPlace } from './drill-place.ts';
import type { DrillReport, DrillStep } from './drill-report.ts';
import { examineLog } from './examine-log.ts';
import { findRecovery, lostList } from './find-recovery.ts';
import { readOnlyRemote } from './falsified-remote.ts';
import { rehearseOnCopy } from './rehearse-on-copy.ts';
import { rememberDrill } from './remember-drill.ts';
import { trySnapshot } from './try-snapshot.ts';
import type { RestoredCopy, Trial, TrialRequest } from './try-snapshot.ts';

export interface DrillOptions extends DrillChoice {
  /** Command that starts a server, with `{dir}` and `{port}` in it; `off`: none. Default: one that is installed. */
  readonly server?: string | undefined;
  /** Damage the copy, or the view of the remote, in this way, to see that it is found and what mends it. Nothing else is touched. */
  readonly damage?: DamageKind | undefined;
}

/** If another host rotates the snapshot away meanwhile, another one is drilled. */
const mostChoices = 3;

/**
 * Proves that a snapshot restores: reads the list of snapshots as a new machine would, restores one into a directory of its own, checks
 * everything, and asks a server that it starts on the copy. Nothing can be written to the remote, and nothing is written locally outside the
 * drill's directory but its record; a crash leaves garbage that the next drill removes. What is wrong is a result, not an error. BUSY while another drill
 * runs, DISK_FULL without room for twice the snapshot, NOT_FOUND without one.
 */
export async function drill(context: Context, options: DrillOptions = {}): Promise<DrillReport> {
  const lock = await lockDrill(context.fs, context.home);
  try {
    const place = await makeDrillPlace(context);
    try {
      const report = await carryOut({ ...context, remote: readOnlyRemote(context.remote) }, options, place);
      if (options.damage === undefined) await rememberDrill(context, report.report, report.live);
      return report.report;
    } finally {
      await place.remove();
    }
  } finally {
    lock.release();
  }
}

interface Drilled {
  readonly report: DrillReport;
  /** Ids of the live snapshots, if that is known. */
  readonly live: readonly string[] | undefined;
}

async function carryOut(context: Context, options: DrillOptions, place: DrillPlace): Promise<Drilled> {
  const { clock, home, signal } = context;
  const startMs = clock.monotonic();
  const record = await readDrillRecord(home, context.remote.location);
  for (let choices = 1; ; choices += 1) {
    enterPhase(context, 'verify');
    let view: LogView;
    try {
      // A new machine knows no commit: each is read.
      view = await readLog(context, { signal });
    } catch (error) {
      if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
      return { report: lostList(error, Math.round(clock.monotonic() - startMs)), live: undefined };
    }
    const entries = view.snapshots.map(({ entry }) => entry);
    const chosen = chooseDrilled(entries, options, record);
    const isGone = async (): Promise<boolean> =>
      choices < mostChoices &&
      (await readLog(context, { signal })).snapshots.every(({ entry }) => entry.id !== chosen.entry.id);
    try {
      const report = await drillOne(context, { view, chosen, options, place, startMs });
      if (report.type === 'passed' || !(await isGone())) return { report, live: entries.map(({ id }) => id) };
    } catch (error) {
      if (!isSyncAgentError(error, 'NOT_FOUND') || !(await isGone())) throw error;
    }
  }
}

interface OneDrill {
  readonly view: LogView;
  readonly chosen: Chosen;
  readonly options: DrillOptions;
  readonly place: DrillPlace;
  readonly startMs: number;
}

async function drillOne(
  original: Context,
  { view, chosen: { entry, chosen }, options, place, startMs }: OneDrill,
): Promise<DrillReport> {
  const { damage: kind, server } = options;
  await assertRoomForDrill(original, entry);
  const request: TrialRequest = { id: entry.id, place, server };
  const damaged =
    kind !== undefined && isRemoteDamage(kind)
      ? await damageInRemote(original, await manifestOf(original, view, entry), kind)
      : undefined;
  const context = damaged === undefined ? original : { ...original, remote: damaged.remote };
  const listMs = original.clock.monotonic();
  const examined = await examineLog(context, view, entry.id);
  const list: DrillStep = {
    name: 'list',
    outcome: examined.problems.length === 0 ? 'passed' : 'failed',
    tookMs: Math.round(original.clock.monotonic() - listMs),
  };
  const onCopy = kind !== undefined && !isRemoteDamage(kind) ? kind : undefined;
  const trial = await trySnapshot(context, onCopy === undefined ? request : { ...request, server: 'off' });
  const problems = [
    ...examined.problems.map((message) => ({ foundBy: 'list' as const, message })),
    ...trial.replaced.map((message) => ({ foundBy: 'restore' as const, message })),
    ...trial.problems,
  ];
  const about = {
    snapshot: entry.id,
    createdAt: entry.createdAt,
    chosen,
    kind: trial.restored?.adapter.name ?? null,
    files: trial.restored?.manifest.files.length ?? 0,
    bytes: totalBytes(trial.restored?.manifest.files ?? []),
    records: trial.records,
    findings: trial.findings,
  };
  const tookMs = (): number => Math.round(original.clock.monotonic() - startMs);
  if (onCopy !== undefined && problems.length === 0 && hasCopy(trial)) {
    const { what, ...found } = await rehearseOnCopy(context, trial, onCopy, request);
    const type = found.problems.length > 0 && found.recovery.works ? 'passed' : 'failed';
    return {
      type,
      ...about,
      ...found,
      steps: [list, ...found.steps],
      damage: { kind: onCopy, what },
      tookMs: tookMs(),
    };
  }
  const recovery =
    problems.length === 0 ? null : await findRecovery(context, { view, examined, trial, request });
  const isRehearsal = damaged !== undefined;
  const passed = isRehearsal ? recovery?.works === true : problems.length === 0;
  return {
    type: passed ? 'passed' : 'failed',
    ...about,
    steps: [list, ...trial.steps],
    problems,
    server: trial.server,
    recovery,
    damage: isRehearsal && kind !== undefined ? { kind, what: damaged.what } : null,
    tookMs: tookMs(),
  };
}

const hasCopy = (trial: Trial): trial is Trial & { readonly restored: RestoredCopy } =>
  trial.restored !== undefined;
