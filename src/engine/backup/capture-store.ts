import { join } from 'node:path';
import { both, concurrently } from '../../platform/concurrently.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { fileTimeMs } from '../../platform/file-system.ts';
import { totalBytes } from '../../log/manifest.ts';
import { fingerprint, isSettled, storeIdentity } from '../../stores/content/fingerprint.ts';
import { emptyDirectoriesOf, scanStore } from '../../stores/content/scan.ts';
import type { ScanResult } from '../../stores/content/scan.ts';
import type { Capture, Problem } from '../../stores/adapter.ts';
import { stagedData } from '../../home/home.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { hashFile } from '../hash-file.ts';
import type { CapturedFile, CapturedStore } from './plan-backup.ts';
import { adapterForCapture, databasesOf } from '../soundness/judge-store.ts';
import { lastKnownManifest } from '../known-manifests.ts';
import { messagesOf, soundnessOf } from '../soundness/soundness.ts';
import type { SoundBase } from '../soundness/soundness.ts';
import { warnOfTwins } from '../twin-servers.ts';

export interface StoreImage extends CapturedStore {
  /** Problems that put no record at risk. */
  readonly findings: readonly Problem[];
  /** Empty unless damage is accepted. */
  readonly damage: readonly Problem[];
  /** Where the image is. */
  readonly dir: string;
  /** The files that were checked as SQLite databases. */
  readonly databases: readonly string[] | undefined;
  /** Milliseconds since the epoch, this host's clock, shortly before the captured instant. */
  readonly capturedAtMs: number;
  /** Of the store at the captured instant. Null if a later write could have the same timestamp. */
  readonly fingerprint: string | null;
  readonly identity: string;
  /** What was not captured because it is not content. */
  readonly leftAlone: ScanResult['leftAlone'];
  readonly heldMs: number;
  readonly longestHoldMs: number;
}

/** If our locks do not cover the whole store, an image can be torn. Three unsound images mean that the store is unsound. */
const captureTries = 3;
/**
 * How long to wait for an index that looks half written. Usually nobody writes it: the files are copies, their times say
 * nothing, and the first image is sound. If it is not, a slow disk may hold the server up. That is likely only if a server
 * can be seen.
 */
const unfinishedMs = { first: 500, unseen: 5_000, seen: 30_000 };

export interface ImageOptions {
  /** The manifest that says which databases were sound before. Called only if an image is not sound. */
  readonly base: () => Promise<SoundBase | undefined>;
  /** Whether to take an image of a damaged store. */
  readonly acceptDamage: boolean;
}

/**
 * Captures the store into staging, validates the image and hashes its files. Rejects with STORE_CORRUPT if every image is
 * unsound.
 */
export async function captureStore(
  context: Context,
  attempt: string,
  { base, acceptDamage }: ImageOptions,
): Promise<StoreImage> {
  const { home, fs, clock, emit, signal } = context;
  const dir = stagedData(home, attempt);
  const known = await lastKnownManifest(context);
  const adapter = await adapterForCapture(context, known);
  const databases = databasesOf(context, known);
  let heldMs = 0;
  let longestHoldMs = 0;
  const users = await context.findStoreUsers(home.store);
  warnOfTwins(context, adapter, users);
  for (let tries = 1; ; tries += 1) {
    enterPhase(context, 'capture');
    await fs.remove(dir);
    await fs.makeDirectory(dir);
    const identity = await storeIdentity(home.store);
    const capturedAtMs = clock.now();
    const captured = await adapter.capture(home.store, dir, {
      timeoutMs: context.settings.captureTimeoutMs,
      unfinishedMs: unfinishedMs[tries === 1 ? 'first' : users.length === 0 ? 'unseen' : 'seen'],
      clock,
      fs,
      signal,
    });
    heldMs += captured.heldMs;
    longestHoldMs = Math.max(longestHoldMs, captured.longestHoldMs);
    if (tries === 1) warnOfUnfenced(context, captured.unfenced);
    context.formats.current.assertStorable(
      [...captured.source.files.map((file) => file.path), ...emptyDirectoriesOf(captured.source)],
      { prefixBytes: context.settings.prefixBytes },
    );
    emit({
      type: 'captured',
      bytes: totalBytes(captured.source.files),
      attempts: captured.attempts,
      heldMs: captured.heldMs,
      longestHoldMs: captured.longestHoldMs,
    });
    enterPhase(context, 'validate');
    const [report, files] = await both(
      signal,
      (either) => adapter.inspect(dir, { level: context.settings.validation, databases, signal: either }),
      (either) => hashImage(dir, captured, either),
    );
    const before = report.damage.length === 0 ? undefined : await base();
    const { damage, findings } = soundnessOf(report, before);
    if (damage.length === 0 || (acceptDamage && tries === captureTries)) {
      const { fingerprinted, lookedAtMs } = captured;
      return {
        dir,
        adapter: adapter.name,
        files,
        ...describeDirectories(captured.source),
        databases: report.databases,
        statistics: report.statistics,
        findings,
        damage,
        capturedAtMs,
        fingerprint: isSettled(fingerprinted.files, lookedAtMs) ? fingerprint(fingerprinted) : null,
        identity,
        leftAlone: captured.source.leftAlone,
        heldMs,
        longestHoldMs,
      };
    }
    if (tries === captureTries) {
      throw new SyncAgentError('STORE_CORRUPT', `Cannot back up "${home.store}": ${messagesOf(damage)}`, {
        remedy: damageRemedy(before),
      });
    }
  }
}

function warnOfUnfenced({ emit }: Context, unfenced: readonly string[]): void {
  const [first] = unfenced;
  if (first === undefined) return;
  const others = unfenced.length === 1 ? '' : ` and ${unfenced.length - 1} others`;
  emit({
    type: 'warning',
    code: 'NOTICE',
    message: `The writers of "${first}"${others} were not held back: this user may not write there`,
    remedy: 'Let sync-agent write the databases and their directory, or a busy store may never be captured',
  });
}

/** Says which good snapshot there is, and how to keep a damaged copy, which is better than none. */
function damageRemedy(before: SoundBase | undefined): string {
  const accept = '"sync-agent backup --accept-damage" keeps a copy of it as it is, marked as damaged';
  return before === undefined
    ? `The remote has no snapshot of it yet. ${accept}`
    : `The last good snapshot is untouched: "sync-agent restore --force" brings it back, and keeps this store as a rollback copy. ${accept}`;
}

function describeDirectories(
  source: ScanResult,
): Pick<CapturedStore, 'mode' | 'directories' | 'emptyDirectories'> {
  const [root, ...below] = source.directories;
  return {
    mode: root?.mode ?? 0o755,
    directories: below.map(({ path, mode }) => ({ path, mode })),
    emptyDirectories: emptyDirectoriesOf(source),
  };
}

async function hashImage(
  dir: string,
  captured: Capture,
  signal: AbortSignal | undefined,
): Promise<CapturedFile[]> {
  const sizes = new Map((await scanStore(dir)).files.map((file) => [file.path, file.size]));
  return concurrently(captured.source.files, { concurrency: 4, signal }, async (file, whileAll) => {
    const size = sizes.get(file.path);
    if (size === undefined)
      throw new SyncAgentError('INTERNAL', `Cannot hash "${file.path}": it is not in the image`);
    const sha256 = await hashFile(join(dir, file.path), size, whileAll);
    return { path: file.path, size, sha256, mode: file.mode, mtimeMs: fileTimeMs(file.mtimeNs) };
  });
}
