import { hostname } from 'node:os';
import type { EngineSettings } from '../engine/context.ts';
import { defaultLeaseMs } from '../engine/lease/wait-for-lease.ts';
import type { RemoteSettings } from '../remotes/registry.ts';
import { libraryDefaults, libraryNames } from '../settings/library-settings.ts';
import { engineTable } from '../settings/tables/engine-table.ts';
import type { StoreKindName } from '../stores/registry.ts';
import { version } from '../version.ts';

type Optional<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** Plain data: what `sync-agent.config.json` and flags come to. docs/configuration.md has the defaults. */
export interface AgentSettings
  extends RemoteSettings, Optional<Omit<EngineSettings, 'agent' | 'prefixBytes'>> {
  /** Directory to keep. */
  readonly store: string;
  /** A URL of any kind of remote, such as `s3://bucket/prefix` or `file:///directory`. */
  readonly remote: string;
  /** `auto` recognises the kind of store by its files. */
  readonly adapter?: 'auto' | StoreKindName | undefined;
  /** Files of the store to leave alone: patterns as in a .gitignore, relative to the store. */
  readonly exclude?: readonly string[] | undefined;
  /** Owner of the files that root writes: `user:group`, `uid:gid`, or `keep` for root itself. */
  readonly owner?: string | undefined;
  /** Time that a call waits while another one works on the store, milliseconds. By default 0, and 30 s for an agent that keeps running. */
  readonly lockWaitMs?: number | undefined;
  /** Lifetime of a lease that is not renewed, milliseconds. */
  readonly leaseMs?: number | undefined;
}

export const defaultSettings = {
  ...libraryDefaults(engineTable),
  lockWaitMs: 0,
  leaseMs: defaultLeaseMs,
};

/** Every setting an engine needs, with the defaults for what was not said. */
export function engineSettings(settings: AgentSettings): Omit<EngineSettings, 'prefixBytes'> {
  return {
    ...libraryDefaults(engineTable),
    host: hostname(),
    ...given(settings, [...libraryNames(engineTable), 'host']),
    agent: `sync-agent/${version}`,
  };
}

/** The properties of these names that are not undefined. */
function given<T extends object, K extends keyof T>(
  values: T,
  names: readonly K[],
): { [P in K]?: Exclude<T[P], undefined> } {
  const found = names.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]] as const]));
  return Object.fromEntries(found) as { [P in K]?: Exclude<T[P], undefined> };
}
