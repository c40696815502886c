import { readVerified } from '../../home/records/verified-record.ts';
import type { LogEntry, Manifest } from '../../log/manifest.ts';
import { concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { progressOf } from '../context.ts';
import type { Context } from '../context.ts';
import { compareTurns, eachFile } from './turns.ts';
import type { FilesOf, InTurn } from './turns.ts';
import { VerifiedMemory } from './verified-memory.ts';

/** How much of the remote's bytes was read at some time and found right, by what this host remembers. Each object counts once. */
export interface VerifyCoverage {
  readonly files: number;
  readonly bytes: number;
  readonly verifiedFiles: number;
  readonly verifiedBytes: number;
  /** By this run. */
  readonly readFiles: number;
  readonly readBytes: number;
  /** When the verified file that was read longest ago was read, ISO 8601; null if none was. */
  readonly oldestVerifiedAt: string | null;
}

export interface VerifyBudget {
  readonly ms?: number | undefined;
  readonly bytes?: number | undefined;
}

export interface TurnWork extends Pick<FilesOf, 'entries' | 'manifestOf'> {
  readonly budget: VerifyBudget;
  /** When the budget began to be used, monotonic. */
  readonly startMs: number;
  /** The entries are all snapshots that there are: what is of no other one is forgotten. */
  readonly isWhole: boolean;
  /** Files in memory and in the record at most. For tests. */
  readonly most?: number | undefined;
}

export interface TurnResult {
  readonly coverage: VerifyCoverage;
  /** What is wrong, in sentences, by the id of the snapshot. */
  readonly problems: ReadonlyMap<string, readonly string[]>;
}

/** Files that are in turn at a time: more are found out when these have been read. */
const mostInTurn = 50_000;

/**
 * Reads the bytes of snapshots until the budget is used, those first that were not read for the longest time, and remembers them in the
 * home. So repeated runs cover everything. A file that has begun is read to its end: a budget is exceeded by the files that are in transfer
 * at most, and each run reads at least one. Bytes that several snapshots share are read once. What is damaged is not remembered, and so is
 * read again by the next run.
 */
export async function verifyInTurn(context: Context, work: TurnWork): Promise<TurnResult> {
  const { clock, home, remoteId, settings, signal } = context;
  const before = await readVerified(home, remoteId);
  const { ms = Infinity, bytes: mostBytes = Infinity } = work.budget;
  let [begunFiles, begunBytes] = [0, 0];
  const isSpent = (): boolean =>
    begunFiles > 0 && (begunBytes >= mostBytes || clock.monotonic() - work.startMs >= ms);
  const memory = new VerifiedMemory(context, before, work.most);
  const damaged = new Map<string, string>();
  const contents = cached(work.manifestOf);
  try {
    for (;;) {
      const { files, isAll } = await findTurns(work, memory, context, damaged);
      const total = Math.min(
        mostBytes,
        files.reduce((sum, { file }) => sum + file.size, 0),
      );
      const onBytes = progressOf(context, 'verify', total);
      const due = function* (): Generator<InTurn> {
        for (const each of files) {
          if (isSpent()) return;
          begunFiles += 1;
          begunBytes += each.file.size;
          yield each;
        }
      };
      await concurrently(due(), { concurrency: settings.concurrency, signal }, async (each, whileAll) => {
        const problem = await readOne({ ...context, signal: whileAll }, each, contents, onBytes);
        if (problem === undefined) await memory.verified(each);
        else damaged.set(each.id, problem);
      });
      if (isAll || isSpent()) break;
    }
  } finally {
    await memory.save();
  }
  return await sumUp(work, memory, context, { damaged, begunFiles, begunBytes });
}

async function readOne(
  context: Context,
  { entry, file }: InTurn,
  contents: (entry: LogEntry) => Promise<Manifest | undefined>,
  onBytes: (count: number) => void,
): Promise<string | undefined> {
  try {
    const snapshot = await contents(entry);
    // It was rotated away meanwhile, or its manifest is damaged, which is told elsewhere.
    if (snapshot === undefined) return `the manifest of snapshot ${entry.id} cannot be read`;
    await context.formats.of(snapshot).verifyFile(context, { snapshot, file, onBytes });
    return undefined;
  } catch (error) {
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
    return error.message;
  }
}

/** The files that are next, as many as fit. Of those that nobody remembers, a run goes on behind the last one that was read. */
async function findTurns(
  work: TurnWork,
  memory: VerifiedMemory,
  context: Context,
  damaged: ReadonlyMap<string, string>,
): Promise<{ readonly files: readonly InTurn[]; readonly isAll: boolean }> {
  const most = work.most ?? mostInTurn;
  let files: InTurn[] = [];
  let isAll = true;
  const inOrder = (): InTurn[] => files.toSorted((a, b) => compareTurns(a, b, memory.last));
  await eachFile(work, context, (each) => {
    if (memory.isReadNow(each.id) || damaged.has(each.id)) return;
    files.push({ ...each, readAt: memory.readAt(each.id) });
    if (files.length < 2 * most) return;
    files = inOrder().slice(0, most);
    isAll = false;
  });
  files = inOrder();
  if (files.length > most) isAll = false;
  return { files: files.slice(0, most), isAll };
}

/** Files come in the order of their snapshots, so few manifests are needed at a time. */
function cached(manifestOf: FilesOf['manifestOf']): (entry: LogEntry) => Promise<Manifest | undefined> {
  const known = new Map<string, Promise<Manifest | undefined>>();
  return (entry) => {
    const found = known.get(entry.id) ?? manifestOf(entry);
    known.delete(entry.id);
    known.set(entry.id, found);
    const [oldest] = known.keys();
    if (known.size > 3 && oldest !== undefined) known.delete(oldest);
    return found;
  };
}

interface Found {
  readonly damaged: ReadonlyMap<string, string>;
  readonly begunFiles: number;
  readonly begunBytes: number;
}

async function sumUp(
  work: TurnWork,
  memory: VerifiedMemory,
  context: Context,
  { damaged, begunFiles, begunBytes }: Found,
): Promise<TurnResult> {
  const problems = new Map<string, string[]>();
  const kept = new Set<string>();
  const sum = { files: 0, bytes: 0, verifiedFiles: 0, verifiedBytes: 0 };
  let oldest = Infinity;
  await eachFile(work, context, ({ id, file }) => {
    const at = damaged.has(id) ? undefined : memory.readAt(id);
    sum.files += 1;
    sum.bytes += file.size;
    if (at === undefined) return;
    kept.add(id);
    sum.verifiedFiles += 1;
    sum.verifiedBytes += file.size;
    oldest = Math.min(oldest, at);
  });
  if (damaged.size > 0) {
    // Each snapshot that has the bytes is damaged.
    await eachFile({ ...work, isRepeated: true }, context, ({ id, entry }) => {
      const problem = damaged.get(id);
      if (problem !== undefined) problems.set(entry.id, [...(problems.get(entry.id) ?? []), problem]);
    });
  }
  await memory.forget({ damaged: new Set(damaged.keys()), live: work.isWhole ? kept : undefined });
  const oldestVerifiedAt = oldest === Infinity ? null : new Date(oldest * 1000).toISOString();
  return { problems, coverage: { ...sum, readFiles: begunFiles, readBytes: begunBytes, oldestVerifiedAt } };
}
