import type { Kind } from './kind.ts';
import type { Setting } from './setting.ts';
import { agentTable } from './tables/agent-table.ts';
import { engineTable } from './tables/engine-table.ts';
import { hookTable } from './tables/hook-table.ts';
import { outputTable } from './tables/output-table.ts';
import { s3Table } from './tables/s3-table.ts';
import { storeTable } from './tables/store-table.ts';

/** In the order of --help. */
const groups = {
  'Store and remote:': storeTable,
  'Output:': outputTable,
  'Engine:': engineTable,
  'Agent:': agentTable,
  'Hooks:': hookTable,
  'S3:': s3Table,
};

/**
 * Every setting there is, under its name in a config file: `captureTimeout`, and `s3.partSize` for `partSize` within `s3`. The
 * flag is `--capture-timeout`, `--s3-part-size`; the variable `SYNC_AGENT_CAPTURE_TIMEOUT`, `SYNC_AGENT_S3_PART_SIZE`.
 */
export const settings = {
  ...storeTable,
  ...outputTable,
  ...engineTable,
  ...agentTable,
  ...hookTable,
  ...s3Table,
};

type Settings = typeof settings;
export type SettingKey = keyof Settings;

export type ValueOf<K extends SettingKey> = Settings[K]['kind'] extends Kind<infer T> ? T : never;

/** What was said, by setting. Durations are milliseconds, sizes are bytes. An alias stands under the name that it is another of. */
export type Config = {
  readonly [K in SettingKey as Settings[K] extends { readonly aliasOf: string } ? never : K]?:
    ValueOf<K> | undefined;
};

export const settingKeys = Object.keys(settings) as readonly SettingKey[];

export function isSettingKey(key: string): key is SettingKey {
  return Object.hasOwn(settings, key);
}

/** For callers that treat all settings alike. */
export function settingNamed(key: SettingKey): Setting {
  return settings[key];
}

/** What tells where the store and the remote are. */
export const placeKeys = settingKeys.filter((key) => settingNamed(key).scope === 'place');

export function groupOf(key: SettingKey): string {
  return Object.entries(groups).find(([, table]) => Object.hasOwn(table, key))?.[0] ?? '';
}

type Defaulted = {
  [K in SettingKey]: Settings[K] extends { readonly default: string } ? K : never;
}[SettingKey];

export function defaultOf<K extends Defaulted>(key: K): ValueOf<K> {
  return settings[key].kind.read(settings[key].default) as ValueOf<K>;
}
