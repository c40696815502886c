import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { SyncAgentError, fromFileSystem, isSyncAgentError } from '../../platform/errors.ts';
import type { CollectionPlace, RecordTarget } from '../../stores/record-source.ts';
import type { Context } from '../context.ts';
import { enterPhase } from '../context.ts';
import { collectionsFileName, readCollectionsFile } from './collections-file.ts';
import type { ExportedCollection } from './collections-file.ts';
import { recordsOf } from './record-lines.ts';
import type { RecordProblem } from './send-batch.ts';
import { sendRecords } from './send-records.ts';
import type { SendOptions, SendingOptions, SentCollection } from './send-records.ts';

export interface ImportFilesOptions extends SendOptions {
  /** Into this database and tenant instead of those that the export names. They are made if they are missing. */
  readonly database?: string | undefined;
  readonly tenant?: string | undefined;
  /** Under another name. Only for one file. */
  readonly as?: string | undefined;
}

export interface ImportResult {
  readonly collections: readonly (SentCollection & { readonly file: string })[];
  /** Lines that were left out, with `keepGoing`. */
  readonly problems: number;
}

const defaultTenant = 'default_tenant';
const defaultDatabase = 'default_database';

/** Imports files of JSON Lines, or the directories of exports, into a running server. Each line is sent at most once. */
export async function importRecords(
  context: Context,
  paths: readonly string[],
  target: RecordTarget,
  { database, tenant, as, ...options }: ImportFilesOptions & Pick<SendingOptions, 'guard'>,
): Promise<ImportResult> {
  const { clock, emit, signal } = context;
  const files = (await Promise.all(paths.map((path) => filesOf(resolve(path))))).flat();
  if (as !== undefined && files.length > 1) {
    throw new SyncAgentError('USAGE', `Cannot import ${files.length} files under the one name "${as}"`, {
      remedy: 'Import one file at a time',
    });
  }
  const planned = files.map(({ path, like }) => ({
    path,
    like,
    place: placeOf(path, like, { database, tenant, as }),
  }));
  enterPhase(context, 'import');
  const total = planned.reduce((sum, { like }) => sum + (like?.records ?? 0), 0);
  let done = 0;
  const onSent = (count: number): void => {
    done += count;
    emit({ type: 'progress', phase: 'import', done: Math.min(done, total), total, unit: 'records' });
  };
  onSent(0);
  const collections: ImportResult['collections'][number][] = [];
  for (const { path, like, place } of planned) {
    const broken: RecordProblem[] = [];
    const records = recordsOf(path, (problem) => {
      if (options.keepGoing !== true) throw brokenLine(problem);
      broken.push(problem);
    });
    const sent = await resumable(() =>
      sendRecords(target, place, like, records, { ...options, signal, onSent, now: () => clock.monotonic() }),
    );
    collections.push({ ...sent, file: path, problems: [...broken, ...sent.problems] });
  }
  return { collections, problems: collections.reduce((sum, { problems }) => sum + problems.length, 0) };
}

/** Says of a failure that the server or the network caused that nothing is lost. */
export async function resumable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isSyncAgentError(error, 'REMOTE_UNREACHABLE')) throw error;
    const { code, message, remedy } = error;
    const again = 'Then run it again: it goes on where it stopped';
    throw new SyncAgentError(code, message, {
      remedy: remedy === undefined ? again.replace('Then run', 'Run') : `${remedy}. ${again}`,
      retryable: error.retryable,
      outOfReach: error.outOfReach,
      cause: error,
    });
  }
}

interface PlannedFile {
  readonly path: string;
  /** What `collections.json` beside it says. */
  readonly like: ExportedCollection | undefined;
}

/** Of a directory: all files that its `collections.json` names. */
async function filesOf(path: string): Promise<readonly PlannedFile[]> {
  const isDirectory = await stat(path).then(
    (stats) => stats.isDirectory(),
    (error: unknown) => {
      throw fromFileSystem(error, `Cannot import "${path}"`);
    },
  );
  const place = join(isDirectory ? path : dirname(path), collectionsFileName);
  const described = await readCollectionsFile(place);
  if (!isDirectory) return [{ path, like: described?.find(({ file }) => file === basename(path)) }];
  if (described === undefined) {
    throw new SyncAgentError('NOT_FOUND', `Cannot import "${path}": it has no ${collectionsFileName}`, {
      remedy: 'The export did not finish: export again, or name single files',
    });
  }
  return described.map((like) => {
    // A hostile file must not name others.
    if (basename(like.file) === like.file) return { path: join(path, like.file), like };
    throw new SyncAgentError('USAGE', `Cannot import "${path}": ${collectionsFileName} names "${like.file}"`);
  });
}

function placeOf(
  path: string,
  like: ExportedCollection | undefined,
  { database, tenant, as }: Pick<ImportFilesOptions, 'database' | 'tenant' | 'as'>,
): CollectionPlace {
  const name = as ?? like?.name;
  if (name === undefined) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot import "${path}": no ${collectionsFileName} beside it says which collection it is`,
      { remedy: 'Name the collection with --as; it is made with the settings of the server, distance l2' },
    );
  }
  return {
    tenant: tenant ?? like?.tenant ?? defaultTenant,
    database: database ?? like?.database ?? defaultDatabase,
    name,
  };
}

function brokenLine({ where, message }: RecordProblem): SyncAgentError {
  return new SyncAgentError('USAGE', `Cannot import ${where}: ${message}`, {
    remedy: 'Mend the line, or add --keep-going to import the others',
  });
}
