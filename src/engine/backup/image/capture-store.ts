import { totalBytes } from '../../../log/manifest.ts';
import type { Manifest } from '../../../log/manifest.ts';
import { fingerprint, isSettled, storeIdentity } from '../../../stores/content/fingerprint.ts';
import { emptyDirectoriesOf } from '../../../stores/content/scan.ts';
import type { ScanResult } from '../../../stores/content/scan.ts';
import type { StoreAdapter, StoreAtRest } from '../../../stores/adapter.ts';
import type { StoreUser } from '../../../stores/capture/in-use.ts';
import { stagedData } from '../../../home/home.ts';
import { inPhase } from '../../context.ts';
import type { Context } from '../../context.ts';
import type { CapturedTree } from '../plan-backup.ts';
import { adapterForCapture } from '../../soundness/judge-store.ts';
import type { StoreLook } from '../../local-status.ts';
import { lastKnownManifest } from '../../known-manifests.ts';
import { warnOfTwins } from '../../twin-servers.ts';
import { describeDirectories, describeFile, describeFiles } from './describe-image.ts';
import { stagingFailure } from './staging-failure.ts';

/** What the store holds at one instant, as nobody has judged it yet. */
export interface StoreImage extends CapturedTree {
  /** Where the image is. */
  readonly dir: string;
  /** The image is no copy, but the store itself: it counts only if nobody wrote to it until all of it was read. */
  readonly atRest?: Omit<StoreAtRest, 'scan'>;
  readonly store: StoreAdapter;
  /** What this host last knew of the store. */
  readonly known: Manifest | undefined;
  /** Milliseconds since the epoch, this host's clock, shortly before the captured instant. */
  readonly capturedAtMs: number;
  /** Of the store at the captured instant. Null if a later write could have the same timestamp. */
  readonly fingerprint: string | null;
  readonly identity: string;
  /** What was not captured because it is not content. */
  readonly leftAlone: ScanResult['leftAlone'];
  /** Of this capture and those before it, milliseconds. */
  readonly heldMs: number;
  readonly longestHoldMs: number;
}

/**
 * How long to wait for an index that looks half written. Usually nobody writes it: the files are copies, their times say
 * nothing, and the first image is sound. If it is not, a slow disk may hold the server up. That is likely only if a server
 * can be seen.
 */
const unfinishedMs = { first: 500, unseen: 5_000, seen: 30_000 };

/** Captures one store as often as needed. `mayLie`: the first time, a store in which nobody works is read where it lies. */
export class StoreCapture {
  readonly #context: Context;
  readonly #dir: string;
  readonly #mayLie: boolean;
  #tries = 0;
  #copies = 0;
  #heldMs = 0;
  #longestHoldMs = 0;

  constructor(context: Context, attempt: string, { mayLie }: { readonly mayLie: boolean }) {
    this.#context = context;
    this.#mayLie = mayLie;
    this.#dir = stagedData(context.home, attempt);
  }

  get tries(): number {
    return this.#tries;
  }

  /** A new image in place of the one before, taken more patiently. `look`: at the store, just now. */
  async take(signal: AbortSignal | undefined, look?: StoreLook): Promise<StoreImage> {
    this.#tries += 1;
    const context = { ...this.#context, signal };
    try {
      return await inPhase(context, 'capture', (moved) => this.#take(context, { moved, look }));
    } catch (error) {
      throw await stagingFailure(context, error);
    }
  }

  async #take(
    context: Context,
    { moved, look }: { readonly moved: (bytes: number) => void; readonly look: StoreLook | undefined },
  ): Promise<StoreImage> {
    const { home, fs, clock, emit, signal } = context;
    const dir = this.#dir;
    const known = await lastKnownManifest(context);
    const store = await adapterForCapture(context, known);
    const users = await context.findStoreUsers(home.store);
    if (this.#tries === 1) warnOfTwins(context, store, users);
    const identity = await storeIdentity(home.store);
    const capturedAtMs = clock.now();
    const common = { store, adapter: store.name, known, capturedAtMs, identity };
    if (this.#mayLie && this.#tries === 1 && users.length === 0) {
      const atRest = await store.lookAtRest(home.store, {
        clock,
        signal,
        unfinishedMs: unfinishedMs.first,
        ...(look?.scan === undefined ? {} : { seen: { scan: look.scan, lookedAtMs: look.lookedAtMs } }),
      });
      if (atRest !== undefined) return { ...common, ...imageAtRest(context, atRest) };
    }
    this.#copies += 1;
    await fs.remove(dir);
    await fs.makeDirectory(dir);
    const captured = await store.capture(home.store, dir, {
      timeoutMs: context.settings.captureTimeoutMs,
      unfinishedMs: this.#patienceMs(users),
      clock,
      fs,
      signal,
    });
    const { source, fingerprinted, lookedAtMs, attempts, heldMs, longestHoldMs } = captured;
    this.#heldMs += heldMs;
    this.#longestHoldMs = Math.max(this.#longestHoldMs, longestHoldMs);
    if (this.#tries === 1) warnOfUnfenced(context, captured.unfenced);
    assertStorable(context, source);
    const bytes = totalBytes(source.files);
    moved(bytes);
    emit({ type: 'captured', bytes, attempts, heldMs, longestHoldMs });
    return {
      ...common,
      dir,
      files: await describeFiles(dir, captured),
      ...describeDirectories(source),
      fingerprint: isSettled(fingerprinted.files, lookedAtMs) ? fingerprint(fingerprinted) : null,
      leftAlone: source.leftAlone,
      heldMs: this.#heldMs,
      longestHoldMs: this.#longestHoldMs,
    };
  }

  #patienceMs(users: readonly StoreUser[]): number {
    if (this.#copies === 1) return unfinishedMs.first;
    return users.length === 0 ? unfinishedMs.unseen : unfinishedMs.seen;
  }
}

function imageAtRest(
  context: Context,
  { scan, ...atRest }: StoreAtRest,
): Omit<StoreImage, 'store' | 'adapter' | 'known' | 'capturedAtMs' | 'identity'> {
  assertStorable(context, scan);
  context.emit({ type: 'captured', bytes: totalBytes(scan.files), attempts: 1, heldMs: 0, longestHoldMs: 0 });
  return {
    dir: context.home.store,
    atRest,
    files: scan.files.map((file) => describeFile(file, file.size)),
    ...describeDirectories(scan),
    fingerprint: fingerprint(scan),
    leftAlone: scan.leftAlone,
    heldMs: 0,
    longestHoldMs: 0,
  };
}

function assertStorable({ formats, settings }: Context, source: ScanResult): void {
  const paths = [...source.files.map((file) => file.path), ...emptyDirectoriesOf(source)];
  formats.current.assertStorable(paths, { prefixBytes: settings.prefixBytes });
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
