import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { fromFileSystem } from '../../platform/errors.ts';
import type { RecordTarget } from '../../stores/record-source.ts';
import type { Context } from '../context.ts';
import { resumable } from '../records/import-records.ts';
import { recordsOf } from '../records/record-lines.ts';
import { indexRecords } from './index-records.ts';
import type { IndexInput, IndexOptions, IndexResult } from './index-records.ts';
import type { MemoryGuard } from './memory-guard.ts';

export interface IndexFileOptions extends IndexOptions {
  /** The name of the collection. It is made with the settings of the server if it is missing. */
  readonly collection: string;
  /** Default: the default ones. They are made if they are missing. */
  readonly database?: string | undefined;
  readonly tenant?: string | undefined;
}

interface Surroundings {
  readonly target: RecordTarget;
  readonly guard: MemoryGuard;
  /** Read instead of a file. Only once. */
  readonly stream: Readable | undefined;
}

/** Writes a file of JSON Lines into a collection of a running server. */
export async function indexFile(
  { clock, emit, signal }: Context,
  path: string,
  { target, guard, stream }: Surroundings,
  {
    collection: name,
    database = 'default_database',
    tenant = 'default_tenant',
    ...options
  }: IndexFileOptions,
): Promise<IndexResult> {
  const input: IndexInput =
    stream === undefined
      ? await fileInput(resolve(path))
      : { read: (onBroken) => recordsOf(path, onBroken, stream), isRepeatable: false };
  const place = { tenant, database, name };
  return resumable(() => indexRecords({ ...options, target, place, input, guard, clock, emit, signal }));
}

/** A pipe can be read once. */
async function fileInput(path: string): Promise<IndexInput> {
  try {
    const isRepeatable = (await stat(path)).isFile();
    return { read: (onBroken) => recordsOf(path, onBroken), isRepeatable };
  } catch (error) {
    throw fromFileSystem(error, `Cannot index "${path}"`);
  }
}
