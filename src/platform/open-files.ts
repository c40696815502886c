import { closeSync, openSync, readFileSync } from 'node:fs';
import { SyncAgentError, errnoOf } from './errors.ts';

/** A connection to a database in WAL mode opens three files, and whatever reads it one more. */
const enough = 4;

/**
 * The error that says that this process, or the system, has no descriptor left, if that is behind `error`: SQLite says "unable to
 * open database file", whatever the reason. To be asked before anything is closed.
 */
export function findLimit(error: unknown): Error | undefined {
  if (isLimit(error)) return error;
  const opened: number[] = [];
  try {
    while (opened.length < enough) opened.push(openSync('/dev/null', 'r'));
    return undefined;
  } catch (probe) {
    return isLimit(probe) ? probe : undefined;
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

export function isLimit(error: unknown): error is Error {
  return ['EMFILE', 'ENFILE'].includes(errnoOf(error) ?? '');
}

export function tooManyOpenFiles(dir: string, databases: number, cause: unknown): SyncAgentError {
  const limit = readLimit();
  const have =
    limit === undefined ? 'the system allows fewer open files' : `the limit of open files is ${limit}`;
  const need =
    databases === 0
      ? 'it needs more open files'
      : `${databases} databases need up to ${enough * databases + 50} open files`;
  return new SyncAgentError('DENIED', `Cannot capture "${dir}": ${need}, and ${have}`, {
    cause,
    remedy:
      'Raise it for sync-agent: ulimit -n in the shell, LimitNOFILE= of a systemd unit, --ulimit nofile= of docker run',
  });
}

/** As getrlimit(2) would say it; undefined outside of Linux. Node raises the soft limit to the hard one when it starts. */
function readLimit(): string | undefined {
  try {
    return /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
