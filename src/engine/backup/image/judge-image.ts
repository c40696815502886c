import { setImmediate } from 'node:timers/promises';
import type { LogView } from '../../../log/commit-log.ts';
import { totalBytes } from '../../../log/manifest.ts';
import type { Manifest } from '../../../log/manifest.ts';
import type { StoreStatistics, Verdict } from '../../../stores/adapter.ts';
import { inPhase } from '../../context.ts';
import type { Context } from '../../context.ts';
import { databasesOf } from '../../soundness/judge-store.ts';
import { soundnessOf } from '../../soundness/soundness.ts';
import type { SoundBase } from '../../soundness/soundness.ts';
import type { StoreImage } from './capture-store.ts';
import { fullTextDueMs } from '../../soundness/full-text-due.ts';
import { stagingFailure } from './staging-failure.ts';

/** What is in an image, and what is wrong with it. */
export interface JudgedImage extends Verdict {
  /** The files that were checked as SQLite databases. */
  readonly databases: readonly string[] | undefined;
  readonly statistics: StoreStatistics;
  /** As in manifests. */
  readonly fullTextDueAt: string | undefined;
}

/** The image is damaged. Not for users: a backup takes another one, or says what is wrong. */
export class UnsoundImage extends Error {
  readonly verdict: Verdict;
  /** The snapshot that says which databases were sound before. */
  readonly before: SoundBase | undefined;

  constructor(verdict: Verdict, before: SoundBase | undefined) {
    super('the image is damaged');
    this.verdict = verdict;
    this.before = before;
  }
}

export interface JudgeOptions {
  readonly view: LogView;
  /** The manifest that says which databases were sound before. Called only if an image is not sound. */
  readonly base: () => Promise<Manifest | undefined>;
  /** Whether to take an image of a damaged store. */
  readonly acceptsDamage: boolean;
}

/** Rejects with UnsoundImage. */
export async function judgeImage(
  context: Context,
  image: StoreImage,
  { view, base, acceptsDamage }: JudgeOptions,
): Promise<JudgedImage> {
  const { settings, clock, signal } = context;
  const dueMs = fullTextDueMs(image.known ?? view.head, clock.now());
  const report = await inPhase(context, 'validate', async (moved) => {
    const databases = databasesOf(context, image.known);
    const fullText = clock.now() < dueMs ? { fullText: 'if-small' as const } : {};
    const options = { level: settings.validation, databases, signal, ...fullText };
    // The first requests of the upload leave before: to start a thread takes some milliseconds.
    await setImmediate();
    const found = await image.store.inspect(image.dir, options).catch(async (error: unknown) => {
      throw await stagingFailure(context, error);
    });
    moved(totalBytes(image.files));
    return found;
  });
  const before = report.damage.length === 0 ? undefined : await base();
  const verdict = soundnessOf(report, before);
  if (verdict.damage.length > 0 && !acceptsDamage) throw new UnsoundImage(verdict, before);
  return {
    ...verdict,
    databases: report.databases,
    statistics: report.statistics,
    fullTextDueAt: report.isFullTextLeft === true ? new Date(dueMs).toISOString() : undefined,
  };
}
