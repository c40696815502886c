/** The number of hours, days, ISO weeks and months for which a snapshot is kept. 0 turns a rule off. */
export interface CalendarPolicy {
  readonly keepHourly: number;
  readonly keepDaily: number;
  readonly keepWeekly: number;
  readonly keepMonthly: number;
}

export type CalendarReason = 'hourly' | 'daily' | 'weekly' | 'monthly' | 'oldest';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

interface Rule {
  readonly reason: CalendarReason;
  readonly count: keyof CalendarPolicy;
  /** The same number for every moment of one hour, day, week or month, in UTC. */
  readonly bucketOf: (epochMs: number) => number;
}

const rules: readonly Rule[] = [
  { reason: 'hourly', count: 'keepHourly', bucketOf: (epochMs) => Math.floor(epochMs / hourMs) },
  { reason: 'daily', count: 'keepDaily', bucketOf: (epochMs) => Math.floor(epochMs / dayMs) },
  // ISO weeks begin on Monday, and 1970 began on a Thursday.
  {
    reason: 'weekly',
    count: 'keepWeekly',
    bucketOf: (epochMs) => Math.floor((Math.floor(epochMs / dayMs) + 3) / 7),
  },
  {
    reason: 'monthly',
    count: 'keepMonthly',
    bucketOf: (epochMs) => new Date(epochMs).getUTCFullYear() * 12 + new Date(epochMs).getUTCMonth(),
  },
];

/**
 * The calendar rules that keep each snapshot. The snapshots come oldest first. The list of one that no rule keeps is empty.
 *
 * A rule goes from the newest to the oldest, and keeps the first snapshot that it meets of each hour (day …), until it has kept
 * its number. Hours without a snapshot do not count. While a rule has kept fewer, the oldest snapshot of all stays too, so that
 * the history can grow to the wanted length.
 *
 * This is the policy of restic's `forget` (https://restic.readthedocs.io/en/stable/060_forget.html), except for the order: it is
 * the order of commits, not of clocks. So a snapshot that a wrong clock dates into the future keeps its place only until
 * enough others have followed.
 */
export function keptByCalendar(
  createdAtMs: readonly number[],
  policy: CalendarPolicy,
): readonly (readonly CalendarReason[])[] {
  const reasons = createdAtMs.map((): CalendarReason[] => []);
  for (const { reason, count, bucketOf } of rules) {
    const seen = new Set<number>();
    for (let index = createdAtMs.length - 1; index >= 0 && seen.size < policy[count]; index -= 1) {
      const bucket = bucketOf(createdAtMs[index] ?? Number.NaN);
      if (!seen.has(bucket)) reasons[index]?.push(reason);
      else if (index === 0 && reasons[0]?.includes('oldest') === false) reasons[0].push('oldest');
      seen.add(bucket);
    }
  }
  return reasons;
}
