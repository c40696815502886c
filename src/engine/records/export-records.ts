import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SyncAgentError, errnoOf, fromFileSystem, throwIfAborted } from '../../platform/errors.ts';
import type { Emit } from '../../platform/events.ts';
import type { CollectionDescription, RecordSource } from '../../stores/record-source.ts';
import { chooseCollections } from './choose-collections.ts';
import type { CollectionChoice } from './choose-collections.ts';
import { collectionsFileName, collectionsText, fileNames } from './collections-file.ts';
import type { ExportedCollection } from './collections-file.ts';
import { writeLines } from './jsonl-file.ts';
import { recordLine } from './record-line.ts';

export interface ExportFilesOptions extends CollectionChoice {
  /** Writes `NAME.jsonl.gz` instead of `NAME.jsonl`. */
  readonly gzip?: boolean | undefined;
  /** Replaces what is there of an earlier export. */
  readonly force?: boolean | undefined;
}

export interface ExportedFile {
  readonly name: string;
  readonly tenant: string;
  readonly database: string;
  readonly records: number;
  /** Absolute path. */
  readonly file: string;
}

interface Options extends ExportFilesOptions {
  /** What is exported, for people: it is written into `collections.json`, too. */
  readonly from: string;
  readonly emit: Emit;
  readonly signal?: AbortSignal | undefined;
  /** Files that `beforeEnd` writes. */
  readonly otherFiles?: readonly string[];
  /** Called when all records are written, before `collections.json` is. */
  readonly beforeEnd?: () => Promise<void>;
}

/** Progress is told once for so many records. */
const recordsPerSign = 200;

/**
 * Writes one file of JSON Lines for each collection into the directory `to`, which is made.
 *
 *   1 each collection, under a temporary name, renamed when it is whole   crash: files without `collections.json`
 *   2 `collections.json`                                                  the export is whole
 *
 * REFUSED if a file of that name is there, unless `force`. An error leaves the files that were whole, and no part of one.
 */
export async function exportRecords(
  source: RecordSource,
  to: string,
  { from, emit, signal, otherFiles = [], beforeEnd, gzip = false, force = false, ...choice }: Options,
): Promise<readonly ExportedFile[]> {
  const dir = resolve(to);
  const chosen = chooseCollections(source.collections, choice, from);
  const names = fileNames(chosen, gzip ? '.jsonl.gz' : '.jsonl');
  await prepare(dir, [collectionsFileName, ...otherFiles, ...names.values()], force);
  const counts = new Map<CollectionDescription, number>();
  for (const each of chosen) counts.set(each, await source.count(each));
  const total = [...counts.values()].reduce((sum, each) => sum + each, 0);
  emit({ type: 'phase', phase: 'export' });
  let done = 0;
  const tell = (): void =>
    emit({ type: 'progress', phase: 'export', done: Math.min(done, total), total, unit: 'records' });
  tell();

  const exported: ExportedCollection[] = [];
  for (const each of chosen) {
    const file = names.get(each) ?? '';
    let records = 0;
    const lines = async function* (): AsyncGenerator<string> {
      for await (const record of source.records(each, signal)) {
        yield recordLine(record);
        records += 1;
        done += 1;
        if (done % recordsPerSign === 0) tell();
      }
    };
    await writeLines(join(dir, file), lines(), signal);
    throwIfAborted(signal, `Exporting to "${dir}"`);
    const { id, name, tenant, database, dimension, space, metadata, configuration, schema } = each;
    exported.push({ file, records, id, name, tenant, database, dimension, space, metadata, configuration, schema }); // prettier-ignore
  }
  tell();
  await beforeEnd?.();
  await writeLines(join(dir, collectionsFileName), [collectionsText(from, exported).trimEnd()], signal);
  return exported.map(({ name, tenant, database, records, file }) => ({
    name,
    tenant,
    database,
    records,
    file: join(dir, file),
  }));
}

/** Makes the directory, and refuses to replace what nobody allowed to replace. */
async function prepare(dir: string, names: readonly string[], force: boolean): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
    const there = new Set(await readdir(dir));
    const taken = names.filter((name) => there.has(name));
    if (taken.length > 0 && !force) {
      throw new SyncAgentError('REFUSED', `Cannot export to "${dir}": "${taken[0]}" is already there`, {
        remedy: 'Name another directory, or add --force to replace what an earlier export wrote',
      });
    }
    // Until the end it describes files that are being replaced.
    await rm(join(dir, collectionsFileName), { force: true });
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' || errnoOf(error) === 'ENOTDIR')
      throw new SyncAgentError('USAGE', `Cannot export to "${dir}": it is no directory`, { cause: error });
    throw fromFileSystem(error, `Cannot export to "${dir}"`);
  }
}
