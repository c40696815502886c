import { dirname, join } from 'node:path';
import { assertLogWhole } from '../../log/commit-copies.ts';
import { readLog } from '../../log/commit-log.ts';
import type { LogView } from '../../log/commit-log.ts';
import type { CreateOnlySupport } from '../../log/create-only.ts';
import { attemptKey } from '../../log/layout.ts';
import { totalBytes } from '../../log/manifest.ts';
import type { Manifest, ManifestFile } from '../../log/manifest.ts';
import type { ReusedFile, Written } from '../../formats/content-format.ts';
import { concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { textBody } from '../../remotes/body.ts';
import { finishCommit } from '../backup/after-commit.ts';
import { commitSnapshot } from '../backup/commit.ts';
import type { ManifestDraft } from '../backup/commit.ts';
import type { Context } from '../context.ts';
import { brokenObjects, findObjects } from '../relied-on.ts';
import { manifestOf, newestManifest } from '../remote-log.ts';
import { diskFull, spareBytes } from '../restore/disk-shortage.ts';
import { downloadFile } from '../restore/download/download-files.ts';
import type { CopyStep } from './plan-copy.ts';
import { presentObjects, skippingPresent } from './present-objects.ts';
import type { Present } from './present-objects.ts';

export interface CopyWork {
  /** The remote that is read, and its log. */
  readonly source: Context;
  readonly view: LogView;
  readonly target: Context;
  readonly createOnly: CreateOnlySupport;
  /** The name of the source in its copies. */
  readonly from: string;
  readonly step: CopyStep;
  /** Snapshots that are settled in the target from now on. */
  readonly settle: readonly string[];
  /** No other snapshot follows. */
  readonly isLast: boolean;
  /** A directory of this host for what is on its way. Nothing is in it, and nothing stays. */
  readonly scratch: string;
  /** Called as bytes are done with. */
  readonly onBytes: (count: number) => void;
}

export interface CopiedSnapshot {
  readonly id: string;
  readonly files: number;
  readonly bytes: number;
  /** Sent from here. The rest the target had already. */
  readonly sentBytes: number;
}

/**
 * Copies one snapshot, under its own id.
 *
 *     1 files that the target lacks, verified, in scratch     crash: garbage that the next reader sweeps
 *     2 objects below history/<id>/ of the target             crash: the next copy relies on them for half the grace period;
 *                                                             later a rotation sweeps them
 *     3 COMMIT: create commits/<n>.json in the target         the snapshot exists there
 *     4 copy of the commit, current files, rotation           crash before: the next commit there does it
 *
 * Undefined if another copy was faster. SNAPSHOT_CORRUPT if the source is damaged: nothing is committed then.
 */
export async function copySnapshot(work: CopyWork): Promise<CopiedSnapshot | undefined> {
  const { source, target, view, step, createOnly } = work;
  const { remote, signal } = target;
  const manifest = await manifestOf(source, view, step.entry);
  const before = await readLog(target, { signal });
  if (before.snapshots.some(({ entry }) => entry.id === manifest.id)) return undefined;
  target.formats.current.assertStorable(
    manifest.files.map(({ path }) => path),
    { prefixBytes: target.settings.prefixBytes },
  );
  const isFirst = before.head === undefined;
  // Until there is a commit, only this mark tells an interrupted first copy from a remote that lost its log.
  if (isFirst) await remote.put(attemptKey(manifest.id), textBody(''), { signal });
  const readAgain = (): Promise<LogView> => readLog(target, { signal });
  const copies = isFirst ? [] : await assertLogWhole(remote, before, { signal, readAgain });
  const { written, sentBytes } = await transfer(work, manifest, before);

  const { generation, epoch } = manifest;
  const uploadId = target.clock.randomHex(16);
  const { files, content, linked, serverTime } = written;
  try {
    const created = await commitSnapshot(target, {
      draft: (current) => {
        if (current.snapshots.some(({ entry }) => entry.id === manifest.id)) throw new CopiedMeanwhile();
        return {
          ...aboutStore(manifest),
          format: target.formats.current.number,
          uploadId,
          parent: step.parent,
          files,
          ...(content === undefined ? {} : { content }),
          ...(linked === undefined ? {} : { linked }),
          ...(step.epoch === 0 ? {} : { epoch: step.epoch }),
          copied: { from: work.from, generation, ...(epoch === undefined ? {} : { epoch }) },
        };
      },
      view: before,
      createOnly: createOnly !== 'rejected',
      startedAt: before.serverTime,
      lastServerTime: serverTime,
      resolve: work.settle,
    });
    await finishCommit(target, created, {
      view: before,
      copies,
      createOnly,
      rotates: work.isLast,
      publishes: work.isLast,
      onCommitted: (committed) =>
        target.emit({ type: 'committed', id: manifest.id, generation: committed.manifest.generation }),
    });
  } catch (error) {
    if (error instanceof CopiedMeanwhile) return undefined;
    throw error;
  }
  work.onBytes(totalBytes(files) - sentBytes);
  return { id: manifest.id, files: files.length, bytes: totalBytes(files), sentBytes };
}

/** What a manifest says of the store itself: neither where its bytes are, nor of its remote. */
function aboutStore({
  generation: _,
  epoch: __,
  log: ___,
  resolved: ____,
  pins: _____,
  committedAt: ______,
  content: _______,
  linked: ________,
  ...facts
}: Manifest): Omit<ManifestDraft, 'content' | 'linked' | 'epoch'> {
  return facts;
}

/** Not for users. */
class CopiedMeanwhile extends Error {}

interface Transferred {
  readonly written: Written;
  readonly sentBytes: number;
}

async function transfer(work: CopyWork, manifest: Manifest, before: LogView): Promise<Transferred> {
  const { target } = work;
  const present = await presentObjects(target, manifest.id);
  const bases = await reusable(target, before, manifest);
  const files = manifest.files.map(({ in: _, ...file }) => file);
  const reuse = files.flatMap((file): ReusedFile[] => {
    const source = bases.get(`${file.size} ${file.sha256}`);
    return source === undefined || isPresent(target, manifest, file, present) ? [] : [{ file, source }];
  });
  try {
    return await send(work, { manifest, before, present, reuse });
  } catch (error) {
    // What was to be copied within the target may be gone from there. Then all is sent from here.
    if (reuse.length === 0 || isSyncAgentError(error)) throw error;
    return send(work, { manifest, before, present, reuse: [] });
  }
}

async function send(
  { source, target, scratch, onBytes }: CopyWork,
  {
    manifest,
    before,
    present,
    reuse,
  }: {
    readonly manifest: Manifest;
    readonly before: LogView;
    readonly present: Present;
    readonly reuse: readonly ReusedFile[];
  },
): Promise<Transferred> {
  const reused = new Set(reuse.map(({ file }) => file.path));
  const upload = manifest.files.map(({ in: _, ...file }) => file).filter(({ path }) => !reused.has(path));
  const missing = upload.filter((file) => !isPresent(target, manifest, file, present));
  const needed = totalBytes(missing);
  const { freeBytes } = await source.diskSpace(scratch);
  if (freeBytes < needed + spareBytes)
    throw diskFull({ ...manifest, files: missing }, { freeBytes, spareBytes, where: `at "${scratch}"` });
  const dir = join(scratch, manifest.id);
  try {
    await concurrently(
      missing,
      { concurrency: source.settings.concurrency, signal: source.signal },
      async (file, signal) => {
        const path = join(dir, file.path);
        await source.fs.makeDirectory(dirname(path));
        // The manifest's own entry says in which object the bytes are.
        const stored = manifest.files.find((each) => each.path === file.path) ?? file;
        await downloadFile({ ...source, signal }, { manifest, file: stored, path, onBytes });
      },
    );
    const written = await target.formats.current.write(
      { ...target, remote: skippingPresent(target.remote, present, before.serverTime) },
      { id: manifest.id, dir, isOwn: true, upload, reuse, onBytes: () => undefined },
    );
    return { written, sentBytes: needed };
  } finally {
    await source.fs.remove(dir);
  }
}

/** Whether the target has the object of a file already. A format whose objects are more than one file cannot tell before it writes. */
function isPresent({ formats }: Context, { id }: Manifest, file: ManifestFile, present: Present): boolean {
  const format = formats.current;
  const objects = format.reliedOn({ format: format.number, id, files: [file] });
  return objects.length > 0 && objects.every(({ key, size }) => present.get(key) === size);
}

/** Where the newest snapshot of the target, or the parent there, has files with these bytes, by size and hash. */
async function reusable(
  target: Context,
  before: LogView,
  manifest: Manifest,
): Promise<ReadonlyMap<string, ReusedFile['source']>> {
  const parent = before.snapshots.find(({ entry }) => entry.id === manifest.parent)?.entry;
  const bases = [
    await newestManifest(target, before),
    parent === undefined ? undefined : await manifestOf(target, before, parent),
  ].flatMap((base) => (base === undefined || base.format !== target.formats.current.number ? [] : [base]));
  const found = await findObjects(target, bases);
  const sources = new Map<string, ReusedFile['source']>();
  for (const snapshot of bases) {
    const broken = new Set(brokenObjects(target, snapshot, found).map(({ path }) => path));
    for (const file of snapshot.files)
      if (!broken.has(file.path)) sources.set(`${file.size} ${file.sha256}`, { snapshot, file });
  }
  return sources;
}
