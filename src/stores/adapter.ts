import type { Clock } from '../platform/clock.ts';
import type { Exclusions } from './content/exclusions.ts';
import type { FileSystem } from '../platform/file-system.ts';
import type { ScanResult } from './content/scan.ts';
import type { StoreReading } from './reading.ts';
import type { StoreDrilling } from './drilling.ts';
import type { OpenRecords } from './record-source.ts';
import type { StoreMending } from './mending.ts';
import type { OperationLog } from './operation-log.ts';

/**
 * What the engine asks of a store: what kind it is, a consistent image of it while its application writes, and whether an
 * image is sound. `find-adapter.ts` makes one from a kind of store.
 */
export interface StoreAdapter {
  /** That of its kind, as in manifests: `chroma`. */
  readonly name: string;
  /** Whether `dir`, an existing directory, is a store of this kind. */
  detect(dir: string): Promise<boolean>;
  /**
   * Copies a consistent image of `dir` into the existing, empty directory `target`. Rejects with BUSY when the
   * store never got quiet enough within `timeoutMs`; then `target` holds garbage and the store was not changed.
   */
  capture(dir: string, target: string, options: CaptureOptions): Promise<Capture>;
  /**
   * Finds out whether `dir`, which nobody is seen to have open, can be read where it lies, without a copy. Undefined if somebody
   * may work in it.
   */
  lookAtRest(dir: string, options: AtRestOptions): Promise<StoreAtRest | undefined>;
  /** Reads a quiescent image (staged, or a stopped store) and judges it. Never changes a byte below `dir`. */
  inspect(dir: string, options: InspectOptions): Promise<StoreReport>;
  /**
   * Whether a stopped store holds nothing that could be lost: no bytes at all, or sound databases without a record and
   * nothing beside them, as applications make at boot.
   */
  holdsNothing(dir: string, options: Omit<InspectOptions, 'level'>): Promise<boolean>;
  /** Opens the records of a quiescent image, or of a store as it lies. Undefined for a kind that has none to export. */
  readonly openRecords: OpenRecords | undefined;
  /** Which of a store's files are its databases, by their names alone. */
  databasesAmong(paths: readonly string[]): readonly string[];
  /** What to do when two servers have the store open. Undefined for a kind of store that does not mind. */
  readonly remedyForTwoServers: string | undefined;
  /**
   * Whether readers make files in `dir`, and remove them again: a log and shared memory beside a database in WAL mode. A program
   * that is started meanwhile would use them as well. Where they are left over, a reader takes a copy anyway: false.
   */
  hasReadersFiles(dir: string): Promise<boolean>;
  /** The store's own log of its writes. Undefined for a kind that keeps none. */
  readonly operationLog: (() => Promise<OperationLog>) | undefined;
  /** Undefined for a kind of store about which nothing else can be asked. */
  readonly reading: StoreReading | undefined;
  /** Undefined for a kind of store that nobody here can mend. */
  readonly mending: StoreMending | undefined;
  /** Undefined for a kind of store that has no server to be tried on, and that cannot be damaged on purpose. */
  readonly drilling: StoreDrilling | undefined;
}

export interface CaptureOptions {
  readonly timeoutMs: number;
  /**
   * A vector index whose files look like the middle of a persist is waited for so long after its last write, milliseconds; then
   * it is captured as it is, for `inspect` to judge.
   */
  readonly unfinishedMs: number;
  readonly clock: Clock;
  readonly fs: FileSystem;
  /** What is not to be captured. */
  readonly exclude?: Exclusions | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface AtRestOptions extends Pick<CaptureOptions, 'clock' | 'exclude' | 'unfinishedMs' | 'signal'> {
  /** A look at all files that was taken before. Default: another one is taken. */
  readonly seen?: StoreSeen;
}

export interface StoreSeen {
  readonly scan: ScanResult;
  /** When the scan began, by `clock.now()`. */
  readonly lookedAtMs: number;
}

/** A store in which nobody works. It is its own image, as long as nobody begins to. */
export interface StoreAtRest {
  readonly scan: ScanResult;
  /**
   * Lets a program write that has come since: ends the locks that readers in this process hold on databases. False if one of
   * them was written. To be called a few times a second while somebody reads.
   */
  letPass(): boolean;
  /** Whether nobody has written since. If so, all that was read meanwhile is the store at one instant. */
  isUntouched(): Promise<boolean>;
}

export interface Capture {
  /** The store at the captured instant, without what is no content: journals, shared memory. */
  readonly source: ScanResult;
  /** As `source`, and with the write-ahead logs that were folded into their databases: the files of `dir` itself. */
  readonly fingerprinted: ScanResult;
  /** When the scan of `source` began, by `clock.now()`. */
  readonly lookedAtMs: number;
  /** How long writers were held back, milliseconds, the sum and the longest single hold. */
  readonly heldMs: number;
  readonly longestHoldMs: number;
  /** How many times the capture was started over. */
  readonly attempts: number;
  /** Databases whose writers could not be held back, because this user may not write them. */
  readonly unfenced: readonly string[];
}

export interface Arrival {
  readonly databases: Promise<void>;
  readonly rest: Promise<void>;
}

export interface InspectOptions {
  /**
   * `quick`: SQLite's quick_check, which checks full-text indexes against their texts, and the structure of vector indexes.
   * `full`: integrity_check, which also compares ordinary indexes with their tables. `proven`: every byte is known to be
   * that of an image that was checked, or a start waits for the answer; so each table is checked by itself: no full-text
   * indexes, which are most of the work, and no unused pages.
   */
  readonly level: 'quick' | 'full' | 'proven';
  /**
   * `if-small`: `quick` does not compare the full-text indexes of a large database with their texts, which is five sixths of its
   * work. The pages of an index are checked all the same. Default: it compares them.
   */
  readonly fullText?: 'if-small' | undefined;
  /**
   * Given for a store as it lies, where a program may have died; an image has none. A directory on the same disk for
   * copies of the databases that SQLite has to recover: they are judged as it would find them. Nothing stays in it.
   */
  readonly scratch?: string | undefined;
  /** Databases that the store is known to have had, relative to it: one that is empty now, or something else, is damaged. */
  readonly databases?: readonly string[] | undefined;
  /** Of an image that is still on its way. Nothing of it is opened before its databases are there, nor the rest before that is. */
  readonly arrival?: Arrival | undefined;
  /** What is not to be judged. */
  readonly exclude?: Exclusions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Of damage: the first three. The others are findings. */
export type ProblemKind =
  | 'database'
  | 'schema'
  | 'vector-index'
  | 'full-text'
  | 'index'
  | 'constraint'
  | 'unused-pages'
  | 'not-evaluable'
  | 'other-database';

/** Something that is not as it should be in a store. */
export interface Problem {
  readonly kind: ProblemKind;
  /** The file, relative to the store, or the collection. */
  readonly where: string;
  /** One sentence that names the place, without a final period. */
  readonly message: string;
  /** The id of the collection, if it is one's. */
  readonly collection?: string | undefined;
  /** What mends it. */
  readonly remedy?: string | undefined;
}

export interface Verdict {
  /** The store's own server would lose records, refuse them, or crash. Empty when the store is sound. */
  readonly damage: readonly Problem[];
  /**
   * No record is at risk: an index that can be built again, what plain SQLite cannot evaluate, a database that is not the
   * store's own. Committed and told.
   */
  readonly findings: readonly Problem[];
}

export interface StoreReport extends Verdict {
  readonly statistics: StoreStatistics;
  /** The SQLite databases that were judged, relative to the store. */
  readonly databases?: readonly string[];
  /** The names of collections whose records cannot be counted. */
  readonly uncounted?: readonly string[];
  /** Whether full-text indexes were not compared with their texts. */
  readonly isFullTextLeft?: boolean;
}

export interface StoreStatistics {
  /** Records of the store as its users count them: Chroma embeddings, SQLite table rows, files. */
  readonly records: number;
  /** Chroma only, in the order of their names. */
  readonly collections?: readonly CollectionStatistics[];
}

export interface CollectionStatistics {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly database: string;
  readonly records: number;
  /** Null while the collection never had a vector. */
  readonly dimension: number | null;
}
