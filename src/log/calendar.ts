/** How many of the last hours, days, ISO weeks and months keep a snapshot; 0 turns a rule off. */
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
 * Why each of some snapshots, oldest first, is kept by the calendar; an empty list where it is not. A rule goes from
 * the newest to the oldest and keeps the first of each hour (day …) that it meets, until it has as many as it may;
 * hours without a snapshot do not count. While it has fewer, the oldest of all stays too, so that the history grows
 * to the length that was asked for. So restic's `forget` has it
 * (https://restic.readthedocs.io/en/stable/060_forget.html), but for the order, which is not that of the clocks:
 * snapshots that a wrong clock dates into the future hold their places only until as many others have followed.
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
