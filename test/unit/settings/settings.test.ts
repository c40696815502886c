import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest';
import type { SyncAgentSettings } from '../../../src/library/open-daemon.ts';
import { assertSettings } from '../../../src/library/assert-settings.ts';
import { allCommands } from '../../../src/cli/commands.ts';
import { parseCommandLine } from '../../../src/cli/parse.ts';
import { librarySettings } from '../../../src/settings/library-settings.ts';
import type { LibrarySettings } from '../../../src/settings/library-settings.ts';
import { resolveConfig } from '../../../src/settings/resolve-config.ts';
import { flagOf, variableOf } from '../../../src/settings/setting.ts';
import { settingKeys, settingNamed } from '../../../src/settings/settings.ts';
import type { SettingKey } from '../../../src/settings/settings.ts';

const commands = await allCommands();

let cwd = '';
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'sync-agent-settings-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

/** Some value that the setting accepts, as a person writes it. */
function sampleOf(key: SettingKey): string {
  if (key === 'remote') return 's3://bucket';
  if (key === 'cron') return '30 3 * * *';
  const { kind } = settingNamed(key);
  const texts = [...(kind.choices ?? []), 'true', '5', '60s', '8MiB', '50%', 'sixteen-characters'];
  return texts.find((each) => kind.read(each) !== undefined) ?? '';
}

describe.each(settingKeys)('the setting "%s"', (key) => {
  const setting = settingNamed(key);
  const text = sampleOf(key);
  const valueIn = (config: object): unknown =>
    (config as Readonly<Record<string, unknown>>)[setting.aliasOf ?? key];

  it('is the same as a flag, as a variable and in a file', async () => {
    const { settings: flags } = parseCommandLine(['list', `--${flagOf(key)}=${text}`], commands);
    const byFlag = valueIn(await resolveConfig({ flags, env: {}, cwd }));
    expect(byFlag).toBeDefined();

    const byVariable = await resolveConfig({ flags: {}, env: { [variableOf(key)]: text }, cwd });
    expect(valueIn(byVariable)).toEqual(byFlag);

    const [outer = '', inner] = key.split('.');
    const content = { [outer]: inner === undefined ? text : { [inner]: text } };
    writeFileSync(join(cwd, 'sync-agent.config.json'), JSON.stringify(content));
    const byFile = await resolveConfig({ flags: {}, env: {}, cwd });
    expect(valueIn(byFile)).toEqual(byFlag);
  });

  it('comes to what the library accepts', async () => {
    const config = await resolveConfig({ flags: { [key]: text }, env: {}, cwd });
    const made = { remote: 's3://bucket', ...librarySettings(config) } as SyncAgentSettings;
    expect(() => assertSettings(made)).not.toThrow();
  });

  it('has a line of help that is one line', () => {
    expect(setting.help).toMatch(/^[A-Z].{8,78}[^.]$/);
  });
});

const defaulted = settingKeys.filter((key) => settingNamed(key).default !== undefined);

it.each(defaulted)('the setting "%s" understands its own default', (key) => {
  const setting = settingNamed(key);
  expect(setting.kind.read(setting.default)).toBeDefined();
});

type Optional<T> = { readonly [K in keyof T]?: T[K] | undefined };

describe('the settings of the library', () => {
  it('are those of the tables, but for what no flag can say', () => {
    expectTypeOf<LibrarySettings>().toExtend<Optional<SyncAgentSettings>>();
    expectTypeOf<Exclude<keyof SyncAgentSettings, keyof LibrarySettings>>().toEqualTypeOf<
      'http' | 'lockWaitMs'
    >();
    expectTypeOf<Exclude<keyof LibrarySettings, keyof SyncAgentSettings>>().toEqualTypeOf<never>();
  });
});
