import { concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { listCommitCopies, readCommitCopy } from '../../log/commit-copies.ts';
import { readCommit } from '../../log/commit-log.ts';
import type { LogView } from '../../log/commit-log.ts';
import { commitKey } from '../../log/layout.ts';
import type { LogEntry, Manifest } from '../../log/manifest.ts';
import { totalBytes } from '../../log/manifest.ts';
import { logProblems } from '../continuous/verify-log.ts';
import { enterPhase, progressOf } from '../context.ts';
import type { Context } from '../context.ts';
import { findLostNewest, manifestIfReadable, manifestOf, readRemote } from '../remote-log.ts';
import { findObjects, problemsOf } from '../relied-on.ts';
import { chooseSnapshot } from './choose-snapshot.ts';
import { verifyInTurn } from './verify-in-turn.ts';
import type { VerifyCoverage } from './verify-in-turn.ts';

export interface VerifyOptions {
  /** Default: the newest. */
  readonly snapshot?: string;
  readonly all?: boolean;
  /** Read every byte and compare the SHA-256 of each file. Default: compare presence and sizes only. */
  readonly readData?: boolean;
  /**
   * Read bytes until so many milliseconds have passed, or so many bytes were read: those of all snapshots, or of the one that is named, the
   * least recently verified first. Repeated runs cover everything.
   */
  readonly budgetMs?: number | undefined;
  readonly budgetBytes?: number | undefined;
}

export interface VerifyReport {
  readonly snapshots: readonly {
    readonly id: string;
    readonly files: number;
    readonly bytes: number;
    readonly problems: readonly string[];
  }[];
  /** Commits that could not be read at all. */
  readonly damagedCommits: readonly string[];
  readonly isSound: boolean;
  readonly readData: boolean;
  /** With a budget: how much was read so far. */
  readonly coverage: VerifyCoverage | null;
}

/** Checks that everything is there that the commit log names. Reports all problems, not only the first. */
export async function verify(context: Context, options: VerifyOptions = {}): Promise<VerifyReport> {
  enterPhase(context, 'verify');
  const startMs = context.clock.monotonic();
  const view = await readRemote(context);
  const entries = view.snapshots.map(({ entry }) => entry);
  const { budgetMs: ms, budgetBytes: bytes } = options;
  const hasBudget = ms !== undefined || bytes !== undefined;
  const isAll = options.all === true || (hasBudget && options.snapshot === undefined);
  const chosen = isAll ? entries : [chooseSnapshot(entries, options.snapshot)];
  const readData = options.readData === true && !hasBudget;
  const total = chosen.reduce((sum, entry) => sum + entry.bytes, 0);
  const report = progressOf(context, 'verify', readData ? total : 0);
  const snapshots: VerifyReport['snapshots'][number][] = [];
  for (const entry of chosen) snapshots.push(await verifyEntry(context, { view, entry, report, readData }));
  const turn = hasBudget
    ? await verifyInTurn(context, {
        entries: chosen,
        isWhole: isAll,
        budget: { ms, bytes },
        startMs,
        manifestOf: (entry) => manifestIfReadable(context, view, entry),
      })
    : undefined;
  const judged = snapshots.map((each) => ({
    ...each,
    problems: [...new Set([...each.problems, ...(turn?.problems.get(each.id) ?? [])])],
  }));
  const remaining = await withoutRotated(context, judged);
  if (remaining.length === 0 && snapshots.length > 0) return verify(context, options);
  const damagedCommits = [...(await damagedCommitsOf(context, view, chosen)), ...missingCommits(view)];
  return {
    snapshots: remaining,
    damagedCommits,
    isSound: damagedCommits.length === 0 && remaining.every((each) => each.problems.length === 0),
    readData: readData || hasBudget,
    coverage: turn?.coverage ?? null,
  };
}

/** Without snapshots that another host rotated away in the meantime: they are not damaged. */
async function withoutRotated(
  context: Context,
  snapshots: VerifyReport['snapshots'],
): Promise<VerifyReport['snapshots']> {
  if (snapshots.every((each) => each.problems.length === 0)) return snapshots;
  const live = new Set((await readRemote(context)).snapshots.map(({ entry }) => entry.id));
  return snapshots.filter((each) => each.problems.length === 0 || live.has(each.id));
}

/**
 * Checks every commit object, void ones too: a damaged one may be all that is left of a snapshot. Checks the copies of the
 * chosen snapshots, and whether a copy's commit is gone.
 */
async function damagedCommitsOf(
  context: Context,
  view: LogView,
  chosen: readonly LogEntry[],
): Promise<readonly string[]> {
  const { remote, signal, settings } = context;
  const pool = { concurrency: settings.concurrency, signal };
  const commits = await concurrently(view.commits, pool, async ({ generation }, whileAll) => {
    try {
      await readCommit(context, generation, { signal: whileAll });
      return [];
    } catch (error) {
      // Rotated away in the meantime.
      if (isSyncAgentError(error, 'NOT_FOUND')) return [];
      if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
      const copy = await readCommitCopy(context, generation, { signal: whileAll });
      return [copy === undefined ? error.message : `${error.message}; its copy counts`];
    }
  });
  const present = await listCommitCopies(remote, { signal });
  const asked = new Set(chosen.map(({ generation }) => generation));
  const copies = await concurrently(present, pool, async ({ generation, key }, whileAll) => {
    if (!asked.has(generation)) return [];
    const copy = await readCommitCopy(context, generation, { signal: whileAll });
    return copy === undefined ? [`copy "${key}" of a commit is damaged`] : [];
  });
  return [...commits, ...copies].flat().concat(await findLostNewest(context, view));
}

/** Nobody rotated these away: the log is listed before its newest commit is read, and that commit names them. */
function missingCommits({ head, commits }: LogView): readonly string[] {
  const present = new Set(commits.map(({ generation }) => generation));
  return (head?.log ?? [])
    .filter(({ generation }) => !present.has(generation))
    .map(({ generation, id }) => `commit "${commitKey(generation)}" of snapshot ${id} is missing`);
}

interface EntryWork {
  readonly view: Parameters<typeof manifestOf>[1];
  readonly entry: LogEntry;
  readonly report: (bytes: number) => void;
  readonly readData: boolean;
}

async function verifyEntry(context: Context, work: EntryWork): Promise<VerifyReport['snapshots'][number]> {
  const { entry } = work;
  let manifest: Manifest;
  try {
    manifest = await manifestOf(context, work.view, entry);
  } catch (error) {
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT') && !isSyncAgentError(error, 'NOT_FOUND')) throw error;
    return { id: entry.id, files: 0, bytes: entry.bytes, problems: [error.message] };
  }
  const problems = work.readData
    ? await readFiles(context, manifest, work.report)
    : problemsOf(context, manifest, await findObjects(context, [manifest]));
  const inLog = await logProblems(context, manifest, { readData: work.readData });
  return {
    id: entry.id,
    files: manifest.files.length,
    bytes: totalBytes(manifest.files),
    problems: [...problems, ...inLog],
  };
}

async function readFiles(
  context: Context,
  manifest: Manifest,
  onBytes: (bytes: number) => void,
): Promise<readonly string[]> {
  const { settings, formats } = context;
  const format = formats.of(manifest);
  const found = await concurrently(
    manifest.files,
    { concurrency: settings.concurrency, signal: context.signal },
    async (file, signal) => {
      try {
        await format.verifyFile({ ...context, signal }, { snapshot: manifest, file, onBytes });
        return [];
      } catch (error) {
        if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
        return [error.message];
      }
    },
  );
  return [...new Set(found.flat())];
}
