import type { FileEntry, ScanResult } from '../content/scan.ts';
import type { RestlessFiles } from './until-resting.ts';

/** What a kind of store adds to the one way of capturing. */
export interface CaptureKind {
  /** The SQLite databases among the files, sorted. */
  findDatabases(dir: string, scan: ScanResult): Promise<readonly string[]>;
  /**
   * The files of multi-file writes that SQLite's locks do not cover and that are under way, as far as times tell. One that
   * has not gone on for `unfinishedMs` is none.
   */
  restlessFiles(files: readonly FileEntry[], nowMs: number, unfinishedMs: number): RestlessFiles;
}
