import type { LogView } from '../../log/commit-log.ts';
import { readOperations } from '../../home/operations/records.ts';
import type { Context } from '../context.ts';
import type { BackupResult } from './backup-result.ts';

type Committed = Extract<BackupResult, { type: 'committed' }>;

/** With fewer before it, nobody knows what is usual. */
const fewest = 3;
const mostRecent = 10;
/** Smaller differences are nobody's worry, whatever the factor. */
const leastBytes = 1024 * 1024;
const leastMs = 10_000;
/** Of the end of the operation log: hundreds of operations. */
const recentLogBytes = 128 * 1024;

/** How many times the median of the newest ten before it; undefined with fewer than three, or a median of 0. Oldest first. */
export function timesUsual(value: number, before: readonly number[]): number | undefined {
  const sorted = before.slice(-mostRecent).toSorted((a, b) => a - b);
  const median = sorted[sorted.length >> 1];
  return sorted.length < fewest || median === undefined || median === 0 ? undefined : value / median;
}

/** Warns, after the commit, of a snapshot that is far larger, or of a backup that took far longer, than those before. */
export async function tellUnusual(
  context: Context,
  { snapshots }: LogView,
  { result, tookMs }: { readonly result: Committed; readonly tookMs: number },
): Promise<Committed> {
  const { settings, emit, home } = context;
  if (settings.warnGrowth === 0) return result;
  const isFar = (times: number | undefined): times is number =>
    times !== undefined && times > settings.warnGrowth;
  const grown = timesUsual(
    result.bytes,
    snapshots.filter(({ entry }) => entry.damaged !== true).map(({ entry }) => entry.bytes),
  );
  const unusual: string[] = [];
  if (isFar(grown) && result.bytes - result.bytes / grown >= leastBytes)
    unusual.push(`snapshot ${result.id} has ${result.bytes} bytes, ${told(grown)} those before it`);
  if (tookMs >= leastMs) {
    const records = await readOperations(home, recentLogBytes).catch(() => []);
    const durations = records.flatMap(({ operation, outcome, tookMs: ms }) =>
      ['backup', 'sync'].includes(operation) && outcome === 'committed' && ms !== null ? [ms] : [],
    );
    const slowed = timesUsual(tookMs, durations);
    if (isFar(slowed))
      unusual.push(`the backup took ${Math.round(tookMs / 1000)} s, ${told(slowed)} those before it`);
  }
  if (unusual.length === 0) return result;
  emit({
    type: 'warning',
    code: 'NOTICE',
    message: `Unusual: ${unusual.join('; ')}`,
    remedy: 'Look at what the application writes. "sync-agent diff ~1 latest" shows what changed',
  });
  return { ...result, unusual };
}

const told = (times: number): string => `${times.toFixed(1)} times the median of`;
