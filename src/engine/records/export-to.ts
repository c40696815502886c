import type { Context } from '../context.ts';
import { exportRecords } from './export-records.ts';
import type { ExportFilesOptions, ExportedFile } from './export-records.ts';
import type { ReadRecords } from './with-record-source.ts';

export interface ExportSummary {
  readonly from: string;
  readonly collections: readonly ExportedFile[];
  readonly records: number;
}

/** Exports what `read` opens. */
export async function exportTo(
  { emit, signal }: Context,
  read: ReadRecords,
  to: string,
  options: ExportFilesOptions,
): Promise<ExportSummary> {
  return read({ salvage: undefined, tenant: options.tenant }, async (source, from) => {
    const collections = await exportRecords(source, to, { ...options, from, emit, signal });
    return { from, collections, records: collections.reduce((sum, { records }) => sum + records, 0) };
  });
}
