import { hostname } from 'node:os';
import type { EngineSettings } from '../engine/context.ts';
import { defaultLeaseMs } from '../engine/lease/wait-for-lease.ts';
import type { RemoteSettings } from '../remotes/registry.ts';
import type { StoreKindName } from '../stores/registry.ts';
import { version } from '../version.ts';

/** Plain data: what `sync-agent.config.json` and flags come to. */
export interface AgentSettings extends RemoteSettings {
  /** Directory to keep. */
  readonly store: string;
  /** `s3://bucket/prefix` or `file:///dir`. */
  readonly remote: string;
  /** `auto` recognises the kind of store by its files. */
  readonly adapter?: 'auto' | StoreKindName | undefined;
  /** What in the store is none of its content: patterns as in a .gitignore, relative to the store. */
  readonly exclude?: readonly string[] | undefined;
  /** Whose files root writes: `user:group`, `uid:gid`, or `keep` for its own. Default: the owner of the store, else of its directory. */
  readonly owner?: string | undefined;
  /** How many of the newest snapshots stay, at least 1; default 24. */
  readonly keepLast?: number | undefined;
  /** Of how many hours that have a snapshot the newest one stays; default 0. */
  readonly keepHourly?: number | undefined;
  /** The same by days; default 0. */
  readonly keepDaily?: number | undefined;
  /** The same by weeks, from Monday; default 0. */
  readonly keepWeekly?: number | undefined;
  /** The same by months; default 0. */
  readonly keepMonthly?: number | undefined;
  /** Every snapshot that is not older stays, milliseconds; default 0. */
  readonly keepWithinMs?: number | undefined;
  /** Nothing younger is deleted, and a backup that takes longer than half of it gives up, milliseconds; default 2 h. */
  readonly graceMs?: number | undefined;
  /** How long a backup waits for a quiet moment of the store, milliseconds; default 60 s. */
  readonly captureTimeoutMs?: number | undefined;
  /** `copy` (default): each snapshot is complete; `linked`: unchanged files stay with the older snapshot. */
  readonly history?: EngineSettings['history'] | undefined;
  /** SQLite's `quick_check` (default) or its `integrity_check`. */
  readonly validation?: EngineSettings['validation'] | undefined;
  /** A store that lost a larger share of its bytes or records, from 0 to 1, is not backed up; default 0.5. */
  readonly maxShrink?: number | undefined;
  /** A damaged store at a restore that would leave it alone: `fail` (default), or `recover` the newest snapshot. */
  readonly onDamage?: EngineSettings['onDamage'] | undefined;
  /** How long a restore waits for the remote to say what it has, milliseconds; default 20 s if there is a store, else no limit. */
  readonly startTimeoutMs?: number | undefined;
  /** How many replaced stores are kept; default 3. */
  readonly rollbackCopies?: number | undefined;
  /** Files in transfer at once; default 8. */
  readonly concurrency?: number | undefined;
  /** Names this host in manifests; the host name by default. */
  readonly host?: string | undefined;
  /** How long a call waits while another one works on the store, milliseconds. By default 0, and 30 s where an agent keeps running. */
  readonly lockWaitMs?: number | undefined;
  /** How long a lease lasts that is not renewed, milliseconds. */
  readonly leaseMs?: number | undefined;
}

export const defaultSettings = {
  keepLast: 24,
  keepHourly: 0,
  keepDaily: 0,
  keepWeekly: 0,
  keepMonthly: 0,
  keepWithinMs: 0,
  graceMs: 2 * 60 * 60 * 1000,
  captureTimeoutMs: 60_000,
  history: 'copy',
  validation: 'quick',
  maxShrink: 0.5,
  onDamage: 'fail',
  rollbackCopies: 3,
  concurrency: 8,
  lockWaitMs: 0,
  leaseMs: defaultLeaseMs,
} as const;

/** Every setting an engine needs, with the defaults for what was not said. */
export function engineSettings(settings: AgentSettings): Omit<EngineSettings, 'prefixBytes'> {
  return {
    keepLast: settings.keepLast ?? defaultSettings.keepLast,
    keepHourly: settings.keepHourly ?? defaultSettings.keepHourly,
    keepDaily: settings.keepDaily ?? defaultSettings.keepDaily,
    keepWeekly: settings.keepWeekly ?? defaultSettings.keepWeekly,
    keepMonthly: settings.keepMonthly ?? defaultSettings.keepMonthly,
    keepWithinMs: settings.keepWithinMs ?? defaultSettings.keepWithinMs,
    graceMs: settings.graceMs ?? defaultSettings.graceMs,
    captureTimeoutMs: settings.captureTimeoutMs ?? defaultSettings.captureTimeoutMs,
    history: settings.history ?? defaultSettings.history,
    validation: settings.validation ?? defaultSettings.validation,
    maxShrink: settings.maxShrink ?? defaultSettings.maxShrink,
    onDamage: settings.onDamage ?? defaultSettings.onDamage,
    startTimeoutMs: settings.startTimeoutMs,
    rollbackCopies: settings.rollbackCopies ?? defaultSettings.rollbackCopies,
    concurrency: settings.concurrency ?? defaultSettings.concurrency,
    host: settings.host ?? hostname(),
    agent: `sync-agent/${version}`,
  };
}
