import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isSyncAgentError } from '../../platform/errors.ts';
import type { ObjectInfo } from '../../remotes/remote.ts';
import { epochMsOf, historyDirectory, parseSegmentKey, pathProblem } from '../../log/layout.ts';
import type { LogPosition } from '../../log/segments/position.ts';
import type { LogEntry, Manifest, ManifestFile } from '../../log/manifest.ts';
import { totalBytes } from '../../log/manifest.ts';
import type { StoreAdapter } from '../../stores/adapter.ts';
import type { Context } from '../context.ts';

/** A snapshot as its files alone describe it, or why they cannot. */
export type ReadDirectory =
  | { readonly manifest: Omit<Manifest, 'generation' | 'parent'>; readonly why?: undefined }
  | { readonly why: string; readonly manifest?: undefined };

/**
 * Describes a snapshot that has no manifest any more: reads every object of its directory, and inspects the store that they
 * make. This works for the plain format only, in which objects are the files. Permissions, empty directories and files in
 * older directories are lost with the manifest. `entry`: what a newer commit says of the snapshot.
 */
export async function readDirectory(
  context: Context,
  work: {
    readonly id: string;
    readonly objects: readonly ObjectInfo[];
    readonly entry: LogEntry | undefined;
  },
): Promise<ReadDirectory> {
  const { id, entry } = work;
  const isSegment = ({ key }: ObjectInfo): boolean => parseSegmentKey(id, key) !== undefined;
  const objects = work.objects.filter((object) => !isSegment(object));
  const isLogged = entry?.logged === true || objects.length < work.objects.length;
  const dir = await mkdtemp(join(tmpdir(), 'sync-agent-repair-'));
  try {
    const files: ManifestFile[] = [];
    for (const object of objects) {
      const path = object.key.slice(historyDirectory(id).length);
      const problem = pathProblem(path);
      if (problem !== undefined) return { why: `the path of "${object.key}" ${problem}` };
      const sha256 = await fetchObject(context, object.key, join(dir, path));
      const mtimeMs = object.lastModified.getTime();
      files.push({ path, size: object.size, sha256, mode: 0o644, mtimeMs });
    }
    if (entry !== undefined && totalBytes(files) !== entry.bytes)
      return { why: `it holds ${totalBytes(files)} bytes, and the log says ${entry.bytes}` };
    const adapter = await context.detectAdapter(dir);
    const report = await adapter.inspect(dir, { level: 'full', signal: context.signal });
    if (report.damage.length > 0) return { why: report.damage.map(({ message }) => message).join('; ') };
    if (entry !== undefined && report.statistics.records !== entry.records)
      return { why: `it holds ${report.statistics.records} records, and the log says ${entry.records}` };
    const position = isLogged ? await positionOf(adapter, dir) : undefined;
    return { manifest: describe(context, { id, entry, adapter: adapter.name, files, report, position }) };
  } catch (error) {
    if (!isSyncAgentError(error, 'NOT_FOUND') && !isSyncAgentError(error, 'STORE_CORRUPT')) throw error;
    return { why: error.message };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Where the files stand in the store's own log, so that what was saved behind them counts again. */
async function positionOf(
  adapter: Pick<StoreAdapter, 'operationLog'>,
  dir: string,
): Promise<LogPosition | undefined> {
  const log = await adapter.operationLog?.();
  const scratch = await mkdtemp(join(tmpdir(), 'sync-agent-position-'));
  try {
    return log?.positionOf(dir, scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function describe(
  { clock, settings }: Context,
  {
    id,
    entry,
    adapter,
    files,
    report,
    position,
  }: {
    readonly id: string;
    readonly entry: LogEntry | undefined;
    readonly adapter: Manifest['adapter'];
    readonly files: ManifestFile[];
    readonly report: { readonly statistics: { readonly records: number; readonly collections?: unknown } };
    readonly position: LogPosition | undefined;
  },
): Omit<Manifest, 'generation' | 'parent'> {
  const { records, collections } = report.statistics as Manifest['statistics'];
  const createdAt = entry?.createdAt ?? new Date(epochMsOf(id)).toISOString();
  return {
    format: 1,
    id,
    createdAt,
    committedAt: entry?.committedAt ?? createdAt,
    uploadId: clock.randomHex(16),
    host: entry?.host ?? 'unknown',
    agent: settings.agent,
    adapter,
    files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    emptyDirectories: [],
    statistics: collections === undefined ? { records } : { records, collections: [...collections] },
    stall: { heldMs: 0, longestHoldMs: 0 },
    ...(position === undefined ? {} : { position }),
    ...(entry?.epoch === undefined ? {} : { epoch: entry.epoch }),
    log: [],
    resolved: [],
  };
}

/** Resolves to the SHA-256 of what was written. */
async function fetchObject({ remote, signal }: Context, key: string, path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  const hash = createHash('sha256');
  const target = await open(path, 'wx', 0o600);
  try {
    const { body } = await remote.get(key, { signal });
    for await (const chunk of body) {
      hash.update(chunk);
      await target.write(chunk);
    }
  } finally {
    await target.close();
  }
  return hash.digest('hex');
}
