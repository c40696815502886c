import { closeSync, openSync, readFileSync } from 'node:fs';
import { SyncAgentError, errnoOf } from './errors.ts';

/** A connection to a database in WAL mode opens three files, and a reader of the database opens one more. */
const filesPerDatabase = 4;

/**
 * If `error` comes from a lack of file descriptors, in this process or in the system: the error that says so. SQLite says "unable
 * to open database file" whatever the reason is, so this tries to open files. Call it before you close any file.
 */
export function findOpenFilesLimit(error: unknown): Error | undefined {
  if (isOpenFilesLimit(error)) return error;
  const opened: number[] = [];
  try {
    while (opened.length < filesPerDatabase) opened.push(openSync('/dev/null', 'r'));
    return undefined;
  } catch (probe) {
    return isOpenFilesLimit(probe) ? probe : undefined;
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

export function isOpenFilesLimit(error: unknown): error is Error {
  return ['EMFILE', 'ENFILE'].includes(errnoOf(error) ?? '');
}

export function tooManyOpenFiles(dir: string, databases: number, cause: unknown): SyncAgentError {
  const limit = readLimit();
  const have =
    limit === undefined ? 'the system allows fewer open files' : `the limit of open files is ${limit}`;
  const need =
    databases === 0
      ? 'it needs more open files'
      : `${databases} databases need up to ${filesPerDatabase * databases + 50} open files`;
  return new SyncAgentError('DENIED', `Cannot capture "${dir}": ${need}, and ${have}`, {
    cause,
    remedy:
      'Raise the limit for sync-agent: ulimit -n in a shell, LimitNOFILE= in a systemd unit, --ulimit nofile= for docker run',
  });
}

/** The soft limit, as getrlimit(2) returns it. Undefined outside Linux. Node raises the soft limit to the hard one when it starts. */
function readLimit(): string | undefined {
  try {
    return /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
