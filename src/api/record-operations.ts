import type { CollectionChoice } from '../engine/records/choose-collections.ts';
import type { RecordsDiff } from '../engine/records/diff-records.ts';
import type { ExportFilesOptions } from '../engine/records/export-records.ts';
import type { ExportResult, SalvageOptions } from '../engine/records/export-to.ts';
import type { ImportFilesOptions, ImportResult } from '../engine/records/import-records.ts';
import type {
  RestoreCollectionOptions,
  RestoreCollectionResult,
} from '../engine/records/restore-collection.ts';
import type { MergeOptions, MergeResult } from '../engine/merge/merge-result.ts';
import type { IndexFileOptions } from '../engine/writing/index-file.ts';
import type { IndexResult } from '../engine/writing/index-records.ts';
import type { ServerAnalysis } from '../stores/chroma/measuring/analyze-server.ts';
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

export interface ExportOptions extends RecordsFrom, ExportFilesOptions, SalvageOptions {}

export interface MemoryOptions {
  /** Sends nothing while this share of the memory of the host or of a container is used, 0 to 1. Default 0.8. */
  readonly memoryThreshold?: number | undefined;
}

export interface ImportOptions extends ImportFilesOptions, MemoryOptions {
  /** The URL of a running Chroma server. */
  readonly chroma: string;
}

export interface IndexIntoServerOptions extends IndexFileOptions, MemoryOptions {
  /** The URL of a running Chroma server. */
  readonly chroma: string;
  /** For each request, milliseconds; default 30 s. One that is not answered by then is made smaller. */
  readonly deadlineMs?: number | undefined;
}

export interface RestoreIntoServerOptions extends RestoreCollectionOptions {
  /** The URL of a running Chroma server. */
  readonly chroma: string;
  /** Where the collection is taken from: a snapshot, the newest by default, or a directory. */
  readonly snapshot?: string | undefined;
  readonly dir?: string | undefined;
}

export interface MergeIntoServerOptions extends MergeOptions {
  /** The URL of the running Chroma server that has the records of the first snapshot. */
  readonly chroma: string;
}

export interface AnalyzeServerOptions extends MemoryOptions {
  /** The URL of a running Chroma server. */
  readonly chroma: string;
  /** Of the vectors that it measures with. Default 384. */
  readonly dimension?: number | undefined;
}

/** What can be done with single records, where others work with whole stores. */
export interface RecordOperations {
  /**
   * Writes one file of JSON Lines for each collection, and `collections.json`, into the directory `to`. A store that is in use is read
   * from a copy. REFUSED if files would be replaced; STORE_CORRUPT for a damaged store, unless it is salvaged.
   */
  exportTo(to: string, options?: ExportOptions & CallOptions): Promise<ExportResult>;
  /**
   * Puts files of an export, or whole directories of one, into a running server, and reads each record back. Records that are there and
   * equal are not sent again, so that another call goes on where one stopped. REFUSED if other records have those ids.
   */
  importFrom(paths: readonly string[], options: ImportOptions & CallOptions): Promise<ImportResult>;
  /**
   * Writes a file of JSON Lines into a collection of a running server: checked before anything is sent, in batches that fit the server, each
   * read back. Records that are there and differ are changed. Another call with the same file goes on where one stopped. USAGE for a record
   * that the server would refuse; REFUSED if memory stays short.
   */
  indexFile(path: string, options: IndexIntoServerOptions & CallOptions): Promise<IndexResult>;
  /**
   * Measures what batches a running server sustains, in a scratch collection that it removes, also after an error. Removes those of runs that
   * were killed, too.
   */
  analyzeServer(options: AnalyzeServerOptions & CallOptions): Promise<ServerAnalysis>;
  /** Which records were added, removed and changed from one to the other: snapshots, directories, the store (`{}`), or servers. */
  diffRecords(
    from: RecordsFrom,
    to: RecordsFrom,
    options?: CollectionChoice & CallOptions,
  ): Promise<RecordsDiff>;
  /** Takes one collection out of a snapshot and puts it into a running server, without touching the others. */
  restoreCollection(
    name: string,
    options: RestoreIntoServerOptions & CallOptions,
  ): Promise<RestoreCollectionResult>;
  /**
   * Two hosts went on from a common position: brings what the second one wrote since into the running server that has the records of the first.
   * Snapshots are named as elsewhere, and each is meant with its log. What cannot be decided is `refused`, a result, and then nothing is
   * written. Another call goes on where one stopped. REFUSED if they have no common position.
   */
  merge(ours: string, theirs: string, options: MergeIntoServerOptions & CallOptions): Promise<MergeResult>;
}
