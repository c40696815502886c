import { fixedTimes } from '../agent/schedule/fixed-times.ts';
import { SyncAgentError } from '../platform/errors.ts';
import { parseRemote } from '../remotes/remote-url.ts';
import { milliseconds } from '../settings/kind.ts';
import { libraryChecks } from '../settings/library-settings.ts';
import type { SyncAgentSettings } from './open-daemon.ts';

/** Throws USAGE for settings that would be found out later, or never: a program may come without types, or compute them. */
export function assertSettings(settings: SyncAgentSettings): void {
  for (const [name, { isGood, expected }] of [...libraryChecks(), ['lockWaitMs', milliseconds] as const]) {
    const value = valueOf(settings, name);
    const isMissing = value === undefined && (name === 'store' || name === 'remote');
    if (isMissing || (value !== undefined && !isGood(value))) throw unusable(name, value, expected);
  }
  const { continuous } = settings as { readonly continuous?: unknown };
  if (continuous !== undefined && (typeof continuous !== 'object' || continuous === null))
    throw unusable('continuous', continuous, '{}, or { intervalMs } with a number of milliseconds');
  parseRemote(settings.remote);
  if (settings.cron !== undefined) fixedTimes(settings.cron);
}

/** `s3.region` is `region` within `s3`. */
function valueOf(settings: unknown, name: string): unknown {
  return name
    .split('.')
    .reduce<unknown>(
      (outer, key) => (outer as Readonly<Record<string, unknown>> | undefined)?.[key],
      settings,
    );
}

function unusable(name: string, value: unknown, expected: string): SyncAgentError {
  const shown = typeof value === 'string' ? `"${value.slice(0, 200)}"` : String(value);
  return new SyncAgentError('USAGE', `Cannot use ${shown} as ${name}: expected ${expected}`);
}
