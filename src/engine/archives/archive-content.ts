import type { Manifest } from '../../log/manifest.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { StoreReport } from '../../stores/adapter.ts';
import { describeDirectories, describeFiles } from '../backup/image/describe-image.ts';
import type { ImageFile } from '../backup/plan-backup.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { manifestFormat } from './archive-layout.ts';
import { withStoreSource } from '../reading/store-source.ts';
import type { CapturedSource, SourceName, StoreSource } from '../reading/store-source.ts';
import { databasesOf } from '../soundness/judge-store.ts';
import { messagesOf, soundnessOf } from '../soundness/soundness.ts';

/** A store that stands still, sound, to be put into an archive. */
export interface ArchiveContent {
  readonly dir: string;
  /** All that is known before the files are read. */
  readonly draft: ManifestDraft;
  readonly files: readonly ImageFile[];
}

export type ManifestDraft = Omit<Manifest, 'files'>;

/**
 * Hands out an image of the store, taken while its writers continue, or a snapshot, whose every byte was verified. Both are checked as for a
 * backup. STORE_CORRUPT for a damaged store.
 */
export async function withArchiveContent<T>(
  context: Context,
  name: SourceName,
  work: (content: ArchiveContent) => Promise<T>,
): Promise<T> {
  return withStoreSource(
    context,
    name,
    async (source) => {
      const { captured, known, dir } = source;
      if (captured === undefined) {
        if (known === undefined) throw new Error('a snapshot has a manifest');
        return work({ dir, ...ofSnapshot(known) });
      }
      const report = await soundReport(context, source);
      return work({ dir, ...(await ofImage(context, source, { report, captured: captured() })) });
    },
    { asImage: true },
  );
}

/** In an archive every file is whole, whatever the format of the remote. */
function ofSnapshot({
  files,
  content: _,
  linked: __,
  pins: ___,
  ...manifest
}: Manifest): Omit<ArchiveContent, 'dir'> {
  return {
    draft: { ...manifest, format: manifestFormat, log: [], resolved: [] },
    files: files.map(({ path, size, mode, mtimeMs }) => ({ path, size, mode, mtimeMs })),
  };
}

async function soundReport(context: Context, source: StoreSource): Promise<StoreReport> {
  let report = await look(context, source);
  if (report.damage.length > 0 && source.retake !== undefined) {
    await source.retake();
    report = await look(context, source);
  }
  if (report.damage.length === 0) return report;
  throw new SyncAgentError(
    'STORE_CORRUPT',
    `Cannot archive "${context.home.store}": ${messagesOf(report.damage)}`,
    {
      remedy:
        '"sync-agent check" says what mends it; "sync-agent archive latest" archives the newest snapshot instead',
    },
  );
}

async function look(context: Context, { adapter, dir, known }: StoreSource): Promise<StoreReport> {
  const { settings, signal } = context;
  enterPhase(context, 'validate');
  const databases = databasesOf(context, known);
  const report = await adapter.inspect(dir, { level: settings.validation, databases, signal });
  return { ...report, ...soundnessOf(report, known) };
}

async function ofImage(
  { clock, settings, formats, emit }: Context,
  { dir, adapter, known }: StoreSource,
  { report, captured }: { readonly report: StoreReport; readonly captured: CapturedSource },
): Promise<Omit<ArchiveContent, 'dir'>> {
  const { capturedAtMs, heldMs, longestHoldMs, attempts, source } = captured;
  const { statistics, databases, findings } = report;
  const files = await describeFiles(dir, captured);
  const tree = describeDirectories(source);
  formats.current.assertStorable([...files.map(({ path }) => path), ...tree.emptyDirectories], {
    prefixBytes: 0,
  });
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  emit({ type: 'captured', bytes, attempts, heldMs, longestHoldMs });
  for (const { message, remedy } of findings)
    emit({ type: 'warning', code: 'NOTICE', message, ...(remedy === undefined ? {} : { remedy }) });
  return {
    files,
    draft: {
      format: manifestFormat,
      id: makeSnapshotId(capturedAtMs, clock.randomHex(4)),
      generation: 1,
      parent: known?.id ?? null,
      createdAt: new Date(capturedAtMs).toISOString(),
      uploadId: clock.randomHex(16),
      host: settings.host,
      agent: settings.agent,
      adapter: adapter.name,
      ...(databases === undefined ? {} : { databases: [...databases] }),
      emptyDirectories: [...tree.emptyDirectories],
      mode: tree.mode,
      directories: [...tree.directories],
      statistics: { ...statistics, collections: statistics.collections?.map((each) => ({ ...each })) },
      stall: { heldMs, longestHoldMs },
      ...(findings.length > 0 ? { findings: [...findings] } : {}),
      log: [],
      resolved: [],
    },
  };
}
