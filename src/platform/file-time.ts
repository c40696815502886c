/** What ext4 can hold: the years 1901 to 2446. Other file systems and formats hold less or more, and nobody means more. */
const earliestMs = -(2 ** 31) * 1000;
const latestMs = (2 ** 34 - 2 ** 31 - 1) * 1000;

/**
 * A file's time as a number that can be written down, shown and set again, milliseconds since 1970. Files have absurd times: from
 * archives with broken fields, clocks that were never set, and file systems that hold any 64-bit number.
 */
export function fileTimeMs(ns: bigint): number {
  const ms = Number(ns / 1_000_000n);
  return Math.min(Math.max(ms, earliestMs), latestMs);
}
