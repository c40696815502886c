import { fixedTimes } from '../agent/schedule/fixed-times.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { SyncAgentSettings } from './open-daemon.ts';
import { parseRemote } from '../remotes/remote-url.ts';
import { parseExclusion } from '../stores/content/exclusions.ts';
import { ownerPattern } from '../home/owner.ts';
import { longestLabel } from '../log/manifest.ts';

/**
 * Throws USAGE for settings that would be found out later, or never: a program may come without types, or compute them. What the
 * command line reads is checked by `settings/schema.ts`, under the names that it has there.
 */
export function assertSettings(settings: SyncAgentSettings): void {
  if (typeof settings?.store !== 'string' || settings.store === '')
    throw unusable('store', settings?.store, 'a directory');
  if (typeof settings.remote !== 'string')
    throw unusable('remote', settings.remote, '"s3://bucket/prefix" or "file:///dir"');
  parseRemote(settings.remote);
  for (const [name, { isGood, expected }] of Object.entries(checks)) {
    const value = settings[name as keyof typeof checks];
    if (value !== undefined && !isGood(value)) throw unusable(name, value, expected);
  }
  if (settings.cron !== undefined) fixedTimes(settings.cron);
}

interface Check {
  readonly isGood: (value: unknown) => boolean;
  readonly expected: string;
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && !Number.isNaN(value);

const milliseconds: Check = {
  isGood: (value) => isNumber(value) && value >= 0,
  expected: 'milliseconds, 0 or more',
};
const share: Check = {
  isGood: (value) => isNumber(value) && value >= 0 && value <= 1,
  expected: 'a share from 0 to 1',
};
const count = (least: number): Check => ({
  isGood: (value) => Number.isSafeInteger(value) && (value as number) >= least,
  expected: `a whole number, ${least} or more`,
});
const oneOf = (...names: readonly string[]): Check => ({
  isGood: (value) => names.some((name) => name === value),
  expected: `one of ${names.join(', ')}`,
});

const checks = {
  intervalMs: milliseconds,
  settleMs: milliseconds,
  pollIntervalMs: milliseconds,
  detect: oneOf('auto', 'events', 'poll'),
  adapter: oneOf('auto', 'chroma', 'sqlite', 'files'),
  host: {
    isGood: (value) => typeof value === 'string' && value.length <= longestLabel,
    expected: `a name of at most ${longestLabel} characters`,
  },
  exclude: {
    isGood: (value) =>
      Array.isArray(value) &&
      value.every((each) => typeof each === 'string' && parseExclusion(each) === each),
    expected: 'a list of patterns as in a .gitignore, relative to the store',
  },
  owner: {
    isGood: (each) => typeof each === 'string' && ownerPattern.test(each),
    expected: '"user:group", "uid:gid" or "keep"',
  },
  keepLast: count(1),
  keepHourly: count(0),
  keepDaily: count(0),
  keepWeekly: count(0),
  keepMonthly: count(0),
  keepWithinMs: milliseconds,
  graceMs: milliseconds,
  captureTimeoutMs: milliseconds,
  lockWaitMs: milliseconds,
  history: oneOf('copy', 'linked'),
  validation: oneOf('quick', 'full'),
  maxShrink: share,
  onDamage: oneOf('fail', 'recover'),
  startTimeoutMs: milliseconds,
  rollbackCopies: count(0),
  concurrency: count(1),
} as const satisfies Partial<Record<keyof SyncAgentSettings, Check>>;

function unusable(name: string, value: unknown, expected: string): SyncAgentError {
  const shown = typeof value === 'string' ? `"${value.slice(0, 200)}"` : String(value);
  return new SyncAgentError('USAGE', `Cannot use ${shown} as ${name}: expected ${expected}`);
}
