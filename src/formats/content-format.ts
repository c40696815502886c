import type { Manifest, ManifestFile } from '../log/manifest.ts';
import type { Emit } from '../platform/events.ts';
import type { FileSystem } from '../platform/file-system.ts';
import type { Remote } from '../remotes/remote.ts';

/**
 * A content format: in which objects the bytes of a snapshot's files lie. The engine decides what is saved, committed,
 * kept and deleted, and asks the snapshot's format for the rest. What a format promises:
 *
 * - **Its own directory.** It creates objects below `history/<snapshot id>/` of the snapshot that it writes, each key once.
 *   Objects that are no file of the store, byte for byte, lie below `.sync-agent/` in there. No store file has that name,
 *   so no repair, of whatever version, takes them for files.
 * - **Nothing counts before the commit.** A crash in `write` leaves garbage, which rotation sweeps. Every attempt has a
 *   fresh id, so `write` never finds objects of an earlier one.
 * - **`reliedOn` is the whole truth.** Rotation deletes every old object of a dropped snapshot that no live snapshot relies
 *   on. An object that `reliedOn` forgets is lost.
 * - **Verified reads.** Bytes are compared with the SHA-256 in the manifest before a call resolves. An object that is
 *   missing or damaged is SNAPSHOT_CORRUPT, with its key in the message.
 * - **No stragglers.** When a call rejects, none of its transfers is still running.
 * - **Bounded memory**, whatever the size of a file.
 *
 * The engine deletes objects, a format does not.
 *
 * `test/conformance/format-conformance.ts` tests these promises on each implementation.
 */
export interface ContentFormat {
  /** In the manifests of its snapshots. Never given to another format. */
  readonly number: number;

  /** Refuses paths that could not be stored, before anything is written. `prefixBytes`: of the remote's own prefix. */
  assertStorable(paths: readonly string[], options: { readonly prefixBytes: number }): void;

  /**
   * Stores the files of an image, before the commit. Resolves once every object that the result relies on is in the
   * remote, and durable: `DurableLater` is flushed. A source of `reuse` may have vanished since it was looked for; the image has all bytes.
   */
  write(context: FormatContext, work: WriteWork): Promise<Written>;

  /**
   * Every object without which a file of the manifest cannot be read, once for each file that needs it. Pure. The engine
   * asks it before a backup, to see what is missing; before a commit that lost a race; in rotation, to see what stays; in
   * `verify` and in a repair. `files` may be some of the snapshot's.
   */
  reliedOn(content: Content): readonly ReliedObject[];

  /**
   * Writes a file's bytes to the new file `to`, without permissions and times, not yet synced; only reads them if there is
   * no `to`. If the snapshot's objects are damaged, it may use others that have the right bytes, and warns.
   */
  readFile(context: FormatContext, read: FileRead & { readonly to?: string }): Promise<void>;

  /** Reads a file from the objects that `reliedOn` names, and from no others. */
  verifyFile(context: FormatContext, read: FileRead): Promise<void>;

  /**
   * For people and plain tools: shows the newest snapshot outside the history. Absent if the format shows nothing. Called
   * right after the commit, and again with another manifest if that was not the newest after all. A crash in it loses nothing, and
   * the next call mends what it left.
   */
  publish?(context: FormatContext, work: PublishWork): Promise<void>;
}

/** The part of a manifest that says where bytes are. */
export type Content = Pick<Manifest, 'format' | 'id' | 'files' | 'content'>;

/** What a format works with. */
export interface FormatContext {
  readonly remote: Remote;
  readonly fs: FileSystem;
  readonly emit: Emit;
  readonly settings: {
    /** Files in transfer at once. */
    readonly concurrency: number;
    /** Of the plain format: what becomes of unchanged files. */
    readonly history: 'copy' | 'linked';
  };
  readonly signal?: AbortSignal | undefined;
}

export interface WriteWork {
  /** Of the new snapshot. */
  readonly id: string;
  /** Where the image is: with every file of `upload` and `reuse`. */
  readonly dir: string;
  /** The image is nobody else's: a remote may keep its files as they are, instead of copying them. */
  readonly isOwn: boolean;
  readonly upload: readonly UploadFile[];
  readonly reuse: readonly ReusedFile[];
  /** By the paths of `upload`: what was there in an earlier snapshot of the same format. Some of its bytes may be the same. */
  readonly earlier?: ReadonlyMap<string, FileSource> | undefined;
  /** No object of the snapshot is seen before this resolves. */
  readonly after?: Promise<unknown> | undefined;
  /** Called as bytes of `upload` leave, or, with `isCopied`, as the server has copied them from an earlier file. */
  readonly onBytes: (count: number, isCopied?: boolean) => void;
}

/** A file of the image. Without its SHA-256 nobody has read it yet: the format finds it out while it stores the bytes. */
export type UploadFile = Omit<ManifestFile, 'in' | 'parts' | 'sha256'> &
  Partial<Pick<ManifestFile, 'sha256'>>;

/** A file whose bytes another snapshot of the same format has. */
export interface ReusedFile {
  readonly file: ManifestFile;
  readonly source: FileSource;
}

export interface FileSource {
  readonly snapshot: Content;
  readonly file: ManifestFile;
}

/** What the manifest says of the content. */
export interface Written extends Pick<Manifest, 'content' | 'linked'> {
  /** In the order of their paths. */
  readonly files: ManifestFile[];
  /** The server's clock at the last upload; undefined when nothing was uploaded. */
  readonly serverTime: Date | undefined;
}

export interface ReliedObject {
  readonly key: string;
  /** Bytes of the whole object. */
  readonly size: number;
  /** The file that needs it. */
  readonly path: string;
}

export interface FileRead {
  readonly snapshot: Content;
  readonly file: ManifestFile;
  /** Called as bytes of the file arrive. */
  readonly onBytes: (count: number) => void;
}

export interface PublishWork {
  /** Very likely the newest snapshot: its commit was created, and the log after it is being read. */
  readonly manifest: Manifest;
  /** The one before its commit; undefined if there was none. */
  readonly before: string | undefined;
  /** Whether that log has it as the newest. If not, nothing that is shown may claim to be whole. */
  readonly isNewest: Promise<boolean>;
}
