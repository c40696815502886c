import type { ExportFilesOptions, ExportedFile } from '../engine/records/export-records.ts';
import type { RecordLoss } from '../stores/record-source.ts';
import type { CallOptions } from './agent.ts';

/** Where records come from: the agent's store by default. At most one of them. */
export interface RecordsFrom {
  /** A directory. */
  readonly dir?: string | undefined;
  /** A snapshot of the remote, by its id, the unique beginning of one, `latest`, or `~N`. */
  readonly snapshot?: string | undefined;
  /** The URL of a running Chroma server. */
  readonly chroma?: string | undefined;
}

export interface ExportOptions extends RecordsFrom, ExportFilesOptions {
  /** Saves what a damaged store still yields, and names each loss in `losses.jsonl`. */
  readonly salvage?: boolean | undefined;
}

export interface ExportResult {
  /** What was exported, for people. */
  readonly from: string;
  readonly collections: readonly ExportedFile[];
  readonly records: number;
  /** Of a salvage; undefined otherwise. `first` are some of them. */
  readonly losses?:
    { readonly count: number; readonly first: readonly RecordLoss[]; readonly file: string } | undefined;
}

/** What can be done with single records, where others work with whole stores. */
export interface RecordOperations {
  /**
   * Writes one file of JSON Lines for each collection, and `collections.json`, into the directory `to`. A store that is in use is read
   * from a copy. REFUSED if files would be replaced; STORE_CORRUPT for a damaged store, unless it is salvaged.
   */
  exportTo(to: string, options?: ExportOptions & CallOptions): Promise<ExportResult>;
}
