import { userInfo } from 'node:os';
import { basename } from 'node:path';
import type { FileSystem } from '../../platform/file-system.ts';
import type { Home } from '../home.ts';
import { encodeEntry } from './entry.ts';
import type { BeginEntry, EndEntry, OperationEntry } from './entry.ts';
import { processIdentity } from './process-identity.ts';
import { readOperations } from './records.ts';
import { provesSound } from './suspects.ts';
import { appendToLog } from './segments.ts';

/** Of the end of the log: enough to find what was killed lately. */
const recentBytes = 64 * 1024;

/** Who works, for the entry of a beginning. */
export function thisWorker(host: string, program: string): Omit<BeginEntry, keyof Began | 'event' | 'at'> {
  const { pid } = process;
  const identity = processIdentity(pid);
  return { host, user: userName(), pid, program, ...(identity === undefined ? {} : { process: identity }) };
}

type Began = Pick<BeginEntry, 'id' | 'operation' | 'name' | 'within' | 'before'>;

/** The script that this process runs, without its arguments. */
export function programName(): string {
  return basename(process.argv[1] ?? process.argv0);
}

/** An operation that has begun, as the log has it. */
export interface BegunEntry {
  readonly entry: BeginEntry;
  /** Operations that had no end when this one began, and whose processes were gone. */
  readonly killed: readonly OperationEntry[];
}

/** Writes that an operation begins. Rejects with the system's error. */
export async function logBegin(fs: FileSystem, home: Home, entry: BeginEntry): Promise<BegunEntry> {
  const killed = (await readOperations(home, recentBytes))
    .filter(({ state, endedAt, host }) => state === 'open' && endedAt === null && host === entry.host)
    .map(({ id, operation, name }): EndEntry => ({
      event: 'end',
      id,
      at: entry.at,
      operation,
      ...(name === undefined ? {} : { name }),
      outcome: 'killed',
      after: null,
      tookMs: 0,
    }));
  await appendToLog(fs, home, encodeEntry(entry));
  return { entry, killed };
}

/**
 * Writes that an operation has ended. If it proves the store sound, it closes what was killed before it began: no later damage can
 * come from that.
 */
export async function logEnd(
  fs: FileSystem,
  home: Home,
  entry: EndEntry,
  killed: readonly OperationEntry[] = [],
): Promise<void> {
  const state = entry.error === undefined ? 'done' : 'failed';
  if (provesSound({ state, outcome: entry.outcome, isSound: entry.isSound })) {
    for (const each of killed) await appendToLog(fs, home, encodeEntry(each));
  }
  await appendToLog(fs, home, encodeEntry(entry));
}

/** A container may have a user without a name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.geteuid?.() ?? '');
  }
}
