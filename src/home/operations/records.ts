import type { Home } from '../home.ts';
import { decodeEntry } from './entry.ts';
import type { BeginEntry, EndEntry } from './entry.ts';
import { isPidAlive, processIdentity } from './process-identity.ts';
import { readLogLines } from './segments.ts';

/** One operation, as the log tells it. */
export interface OperationRecord extends Omit<EndEntry, 'event' | 'at' | 'tookMs' | 'outcome' | 'after'> {
  /**
   * `running`: its process is there. `open`: it has no end in the log, and no process here is that of it: it was killed, or runs where
   * this process cannot see it, as in another container.
   */
  readonly state: 'done' | 'failed' | 'running' | 'open';
  /** ISO 8601, by its host's clock. */
  readonly beganAt: string;
  readonly endedAt: string | null;
  readonly tookMs: number | null;
  readonly within?: string | undefined;
  /** Null if its beginning is no longer in the log. */
  readonly host: string | null;
  readonly user: string | null;
  readonly pid: number | null;
  readonly program: string | null;
  /** The snapshots that the store was last equal to, or grew from. */
  readonly before: string | null;
  readonly after: string | null;
  readonly outcome: string | null;
}

export interface OperationLogOptions {
  /** Only operations that were not over at this time: milliseconds since the epoch. */
  readonly sinceMs?: number | undefined;
}

/** The operations of the log, oldest first. */
export async function readOperationLog(
  home: Home,
  { sinceMs = -Infinity }: OperationLogOptions = {},
): Promise<readonly OperationRecord[]> {
  const records = await readOperations(home);
  return records.filter(({ endedAt, beganAt }) => Date.parse(endedAt ?? beganAt) >= sinceMs);
}

/** All operations of the log, in the order in which they began. `bytes`: only from the last so many bytes of the log. */
export async function readOperations(home: Home, bytes?: number): Promise<readonly OperationRecord[]> {
  return recordsOf(await readLogLines(home, bytes));
}

export function recordsOf(lines: readonly string[]): readonly OperationRecord[] {
  const found = new Map<string, { begin?: BeginEntry; end?: EndEntry }>();
  for (const line of lines) {
    const entry = decodeEntry(line);
    if (entry === undefined) continue;
    const pair = found.get(entry.id) ?? {};
    // An operation that only seemed to be killed tells its end itself.
    if (entry.event === 'begin') pair.begin = entry;
    else if (pair.end === undefined || entry.outcome !== 'killed') pair.end = entry;
    found.set(entry.id, pair);
  }
  return [...found.values()]
    .map(recordOf)
    .toSorted((a, b) => (a.beganAt < b.beganAt ? -1 : a.beganAt > b.beganAt ? 1 : 0));
}

function recordOf({ begin, end }: { begin?: BeginEntry; end?: EndEntry }): OperationRecord {
  const { event: _, at: endedAt = null, tookMs = null, ...rest } = end ?? ({} as Partial<EndEntry>);
  const { id = '', operation = '', name } = begin ?? rest;
  return {
    outcome: null,
    after: null,
    ...rest,
    id,
    operation,
    ...(name === undefined ? {} : { name }),
    ...(begin?.within === undefined ? {} : { within: begin.within }),
    state: stateOf(begin, end),
    beganAt: begin?.at ?? new Date(Date.parse(endedAt ?? '') - (tookMs ?? 0)).toISOString(),
    endedAt,
    tookMs,
    host: begin?.host ?? null,
    user: begin?.user ?? null,
    pid: begin?.pid ?? null,
    program: begin?.program ?? null,
    before: begin?.before ?? null,
  };
}

function stateOf(begin: BeginEntry | undefined, end: EndEntry | undefined): OperationRecord['state'] {
  if (end !== undefined)
    return end.outcome === 'killed' ? 'open' : end.error === undefined ? 'done' : 'failed';
  return begin !== undefined && isRunning(begin) ? 'running' : 'open';
}

function isRunning({ pid, process: identity }: BeginEntry): boolean {
  return identity === undefined ? isPidAlive(pid) : processIdentity(pid) === identity;
}
