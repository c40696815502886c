import type { InspectOptions, StoreReport } from './adapter.ts';
import type { Exclusions } from './content/exclusions.ts';
import type { StoreDrilling } from './drilling.ts';
import type { OpenRecords } from './record-source.ts';
import type { FileEntry, ScanResult } from './content/scan.ts';
import type { StoreReading } from './reading.ts';
import type { StoreMending } from './mending.ts';
import type { OperationLog } from './operation-log.ts';

/**
 * One kind of store: everything that the rest of the program knows of it. A kind is a folder with such an object, and a line
 * in `registry.ts`; docs/adding-a-store.md shows how to write one. The object is loaded at every start, so what costs time
 * to load, SQLite above all, is imported by the functions that need it.
 *
 * What is optional describes databases and vector indexes. A store of plain files needs none of it: all its files are
 * captured as they stood together at one instant.
 */
export interface StoreKind {
  /** In manifests and settings: lower-case letters, digits and hyphens. */
  readonly name: string;
  /** Whether `dir`, an existing directory, is a store of this kind. Kinds are asked in the order of the registry. */
  detect(dir: string, exclude?: Exclusions): Promise<boolean>;
  /** Judges a quiescent image, or a store as it lies, and counts its records. Never changes a byte below `dir`. */
  inspect(dir: string, options: InspectOptions): Promise<StoreReport>;
  /**
   * Whether `inspect` makes calls that block for long, as those of better-sqlite3 do. Then it runs in a thread of its own, which finds
   * the kind by its name in the registry.
   */
  readonly inspectBlocks?: boolean;
  /** Whether `inspect` waits for `arrival` itself. Other kinds are asked when all files are there. */
  readonly inspectsArriving?: boolean;

  /** Opens the records of a quiescent image, or of a store as it lies. Undefined for a kind that has none to export. */
  readonly openRecords?: OpenRecords;

  /** The SQLite databases among the files, sorted. Their writers are held back at the captured instant. */
  findDatabases?(dir: string, scan: ScanResult): Promise<readonly string[]>;
  /** Which of a store's files are its databases, by their names alone. */
  databasesAmong?(paths: readonly string[]): readonly string[];
  /**
   * The files of writes that go over several files, that SQLite's locks do not cover, and that are under way, as far as
   * times tell. A write that has not gone on for `unfinishedMs` is none.
   */
  unfinishedWrites?(files: readonly FileEntry[], nowMs: number, unfinishedMs: number): UnfinishedWrites;
  /** Files that were given their size and hold nothing yet. */
  allotted?(files: readonly FileEntry[]): readonly string[];

  /** Files that the store cannot do without, by the names that it uses or will use: no pattern may exclude them. */
  readonly needs?: readonly NeededFile[];
  /** Whether a store without any database is none of this kind: then the last one cannot be excluded. */
  readonly needsDatabase?: boolean;
  /** A file whose replacement means that the store was made anew: nothing that was recorded of it counts any more. */
  readonly mainFile?: string;
  /** What to do when two servers have one store open. Undefined for a kind that does not mind. */
  readonly remedyForTwoServers?: string;
  /** The store's own log of its writes. Undefined for a kind that keeps none. */
  readonly operationLog?: () => Promise<OperationLog>;
  /** What commands that only read ask of it. */
  readonly reading?: StoreReading;
  /** Repairs and maintains a stopped store. Its calls run in a thread of its own, which finds the kind by its name in the registry. */
  readonly mending?: StoreMending;
  /** Tries restored copies out, and damages them on purpose. */
  readonly drilling?: StoreDrilling;
  /** How people and applications place such stores, for `init` to find them. */
  readonly habits?: StoreHabits;
}

export interface NeededFile {
  /** Relative to the store. */
  readonly path: string;
  /** The end of a sentence. */
  readonly why: string;
}

export interface StoreHabits {
  /** Names of directories, relative to an application's. Only what is a database or has such a name is found by itself. */
  readonly directories?: readonly string[];
  /** Environment variables in which applications keep the path. */
  readonly variables?: readonly string[];
  /** Whether a directory with such files is one, by their names. */
  matches?(fileNames: readonly string[]): boolean;
}

/** The files of writes that SQLite's locks do not cover, as far as times tell. Both are empty when nothing is under way. */
export interface UnfinishedWrites {
  /** Written just now: the write will end. */
  readonly active: readonly FileEntry[];
  /** A write that began and does not go on. */
  readonly stalled: readonly FileEntry[];
}

/** What a capture asks of a kind. */
export type CaptureKind = Required<Pick<StoreKind, 'findDatabases' | 'unfinishedWrites'>>;
