import { join, resolve } from 'node:path';
import { assertOutside, locateHome } from '../../home/home.ts';
import type { RecordLoss } from '../../stores/record-source.ts';
import type { Context } from '../context.ts';
import { lossesFileName } from './collections-file.ts';
import { exportRecords } from './export-records.ts';
import type { ExportFilesOptions, ExportedFile } from './export-records.ts';
import { writeLines } from './jsonl-file.ts';
import type { ReadRecords } from './with-record-source.ts';

export interface SalvageOptions {
  /** Saves what a damaged store still yields, and names each loss in `losses.jsonl`. */
  readonly salvage?: boolean | undefined;
}

export interface ExportResult {
  /** What was exported, for people. */
  readonly from: string;
  readonly collections: readonly ExportedFile[];
  readonly records: number;
  /** Of a salvage; undefined otherwise. */
  readonly losses?: ExportedLosses | undefined;
}

export interface ExportedLosses {
  readonly count: number;
  /** The first of them. */
  readonly first: readonly RecordLoss[];
  /** Absolute path of the file that has all. */
  readonly file: string;
}

const firstLosses = 20;

/** Exports what `read` opens. The losses of a salvage are written before `collections.json`, which makes the export whole. */
export async function exportTo(
  { home, emit, signal }: Context,
  read: ReadRecords,
  to: string,
  { salvage, ...options }: ExportFilesOptions & SalvageOptions,
): Promise<ExportResult> {
  const place = (await locateHome(to)).store;
  assertOutside(home, place, { action: 'Cannot export to', mayBeStore: false });
  const lines: string[] = [];
  const first: RecordLoss[] = [];
  const onLoss = (loss: RecordLoss): void => {
    lines.push(JSON.stringify(loss));
    if (first.length < firstLosses) first.push(loss);
  };
  const file = join(resolve(to), lossesFileName);
  const isSalvage = salvage === true;
  return read(
    { salvage: isSalvage ? { onLoss } : undefined, tenant: options.tenant },
    async (source, from) => {
      const collections = await exportRecords(source, to, {
        ...options,
        from,
        emit,
        signal,
        otherFiles: isSalvage ? [lossesFileName] : [],
        beforeEnd: async () => {
          if (isSalvage) await writeLines(file, lines, signal);
        },
      });
      return {
        from,
        collections,
        records: collections.reduce((sum, { records }) => sum + records, 0),
        ...(isSalvage ? { losses: { count: lines.length, first, file } } : {}),
      };
    },
  );
}
