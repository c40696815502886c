import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/settings/resolve-config.ts';
import { agentSettings, localSettings } from '../../../src/settings/use-config.ts';
import { flagOf, variableOf } from '../../../src/settings/setting.ts';
import { settingKeys } from '../../../src/settings/settings.ts';

let cwd = '';
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'sync-agent-config-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const write = (name: string, content: unknown): void =>
  writeFileSync(join(cwd, name), typeof content === 'string' ? content : JSON.stringify(content));
const resolved = (
  flags: Record<string, unknown> = {},
  env: Record<string, string> = {},
  configFile?: string,
) => resolveConfig({ flags, env, cwd, configFile });

describe('settings', () => {
  it('have flags and variables that do not collide', () => {
    expect(new Set(settingKeys.map(flagOf)).size).toBe(settingKeys.length);
    expect(new Set(settingKeys.map(variableOf)).size).toBe(settingKeys.length);
    expect([flagOf('s3.partSize'), variableOf('s3.partSize')]).toEqual([
      's3-part-size',
      'SYNC_AGENT_S3_PART_SIZE',
    ]);
  });
});

describe('continuous', () => {
  const continuousOf = async (...args: Parameters<typeof resolved>): Promise<unknown> =>
    agentSettings({ remote: 's3://b', ...(await resolved(...args)) }).continuous;

  it('is an interval, or on with two seconds, on every layer', async () => {
    expect(await continuousOf()).toBeUndefined();
    expect(await continuousOf({ continuous: true })).toEqual({ intervalMs: 2000 });
    expect(await continuousOf({ continuous: '500ms' })).toEqual({ intervalMs: 500 });
    expect(await continuousOf({}, { SYNC_AGENT_CONTINUOUS: '1h' })).toEqual({ intervalMs: 3_600_000 });
    expect(await continuousOf({}, { SYNC_AGENT_CONTINUOUS: 'true' })).toEqual({ intervalMs: 2000 });
    write('sync-agent.config.json', { continuous: '10s' });
    expect(await continuousOf()).toEqual({ intervalMs: 10_000 });
    write('sync-agent.config.json', { continuous: true });
    expect(await continuousOf()).toEqual({ intervalMs: 2000 });
  });

  it('is off by a flag over a file that has it on', async () => {
    write('sync-agent.config.json', { continuous: '10s' });
    expect(await continuousOf({ continuous: 'off' })).toBeUndefined();
    expect(await continuousOf({ continuous: false })).toBeUndefined();
    expect(await continuousOf({}, { SYNC_AGENT_CONTINUOUS: 'off' })).toBeUndefined();
  });

  it.each(['99ms', '2h', '2', 'on', '', '0s'])('cannot be %j', async (value) => {
    await expect(resolved({ continuous: value })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(
        /^Cannot use --continuous = ".*": expected off, or a duration from 100ms to 1h$/,
      ) as string,
    });
  });

  it('cannot be a number in a file: it has no unit', async () => {
    write('sync-agent.config.json', { continuous: 2000 });
    await expect(resolved()).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('layers', () => {
  it('flags win over the environment, the environment over the file, the file over defaults', async () => {
    write('sync-agent.config.json', { keep: 1, grace: '1h', concurrency: 2, remote: 's3://file' });
    const config = await resolved({ keep: '3' }, { SYNC_AGENT_KEEP: '2', SYNC_AGENT_REMOTE: 's3://env' });
    expect(config).toMatchObject({
      keepLast: 3,
      remote: 's3://env',
      grace: 3_600_000,
      concurrency: 2,
      store: join(cwd, 'chroma'),
    });
  });

  it('a flag that was not given does not hide the layers below', async () => {
    expect(await resolved({ keep: undefined }, { SYNC_AGENT_KEEP: '2' })).toMatchObject({ keepLast: 2 });
  });

  it('"keep" is "keepLast", whichever name which layer uses', async () => {
    write('sync-agent.config.json', { keepLast: 1 });
    expect(await resolved({}, { SYNC_AGENT_KEEP: '2' })).toMatchObject({ keepLast: 2 });
    write('sync-agent.config.json', { keep: 1 });
    expect(await resolved({ keepLast: '3' }, { SYNC_AGENT_KEEP: '2' })).toMatchObject({ keepLast: 3 });
    expect(await resolved()).toEqual({ keepLast: 1, store: join(cwd, 'chroma') });
  });

  it('every rule of retention reaches the engine', async () => {
    const flags = {
      keepLast: '1',
      keepHourly: '2',
      keepDaily: '3',
      keepWeekly: '4',
      keepMonthly: '5',
      keepWithin: '7d',
    };
    expect(agentSettings({ ...(await resolved(flags)), remote: 's3://bucket' })).toMatchObject({
      keepLast: 1,
      keepHourly: 2,
      keepDaily: 3,
      keepWeekly: 4,
      keepMonthly: 5,
      keepWithinMs: 604_800_000,
    });
  });

  it('patterns are a list in a file, separated in a variable, repeated as flags', async () => {
    write('sync-agent.config.json', { exclude: ['*.log', '/a,b/'] });
    expect((await resolved()).exclude).toEqual(['*.log', '/a,b/']);
    const env = { SYNC_AGENT_EXCLUDE: '*.log, ./cache/\n!keep.log,' };
    expect((await resolved({}, env)).exclude).toEqual(['*.log', '/cache/', '!keep.log']);
    expect((await resolved({ exclude: ['x', 'y,z'] }, env)).exclude).toEqual(['x', 'y,z']);
    expect(localSettings(await resolved({ exclude: ['x'] })).exclude).toEqual(['x']);
    write('sync-agent.config.json', { exclude: '*.log' });
    expect((await resolved()).exclude).toEqual(['*.log']);
  });

  it.each(['../up', 'a/../b', '#x', '/', '!', '  '])('the pattern "%s" could match nothing', async (text) => {
    await expect(resolved({ exclude: ['*.log', text] })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining(`--exclude`) as string,
    });
  });

  it('an empty variable counts as unset', async () => {
    write('sync-agent.config.json', { remote: 's3://file' });
    expect(await resolved({}, { SYNC_AGENT_REMOTE: '' })).toMatchObject({ remote: 's3://file' });
  });

  it('"syncAgent" in package.json is a config file', async () => {
    write('package.json', { name: 'app', syncAgent: { s3: { region: 'eu-west-1' } } });
    expect(agentSettings({ ...(await resolved()), remote: 's3://bucket' })).toMatchObject({
      s3: { region: 'eu-west-1' },
    });
  });

  it('a package.json that is no JSON and does not speak of us is left alone', async () => {
    write('package.json', '{ "name": "app", }');
    expect(await resolved()).toEqual({ store: join(cwd, 'chroma') });
  });

  it('two config files are refused rather than one ignored', async () => {
    write('package.json', { syncAgent: {} });
    write('sync-agent.config.json', {});
    await expect(resolved()).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('syncAgent') as string,
    });
  });

  it('paths in a file are relative to that file, those of flags to the working directory', async () => {
    write('other.json', { store: 'data', remote: 'file:./backup dir' });
    const config = await resolveConfig({
      flags: {},
      env: { SYNC_AGENT_CONFIG: join(cwd, 'other.json') },
      cwd: '/',
    });
    expect(config).toMatchObject({ store: join(cwd, 'data'), remote: `file://${cwd}/backup%20dir` });
    expect(await resolved({ store: 'here' }, {}, 'other.json')).toMatchObject({ store: join(cwd, 'here') });
  });
});

describe('what cannot be understood is a USAGE error that', () => {
  const cases: readonly [string, () => Promise<unknown>, RegExp, RegExp?][] = [
    [
      'names an unknown key of a file and its nearest',
      () => (write('sync-agent.config.json', { keeep: 1 }), resolved()),
      /"keeep" in .*config\.json/,
      /"keep"/,
    ],
    [
      'names both names of one setting',
      () => resolved({ keep: '1', keepLast: '1' }),
      /--keep beside --keep-last/,
      /Leave one/,
    ],
    [
      'names an unknown key within s3',
      () => (write('sync-agent.config.json', { s3: { endpont: 'x' } }), resolved()),
      /s3\.endpont/,
      /"s3\.endpoint"/,
    ],
    [
      'names an unknown variable and its nearest',
      () => resolved({}, { SYNC_AGENT_S3_ENDPONT: 'x' }),
      /SYNC_AGENT_S3_ENDPONT/,
      /"SYNC_AGENT_S3_ENDPOINT"/,
    ],
    [
      'names a bad value as it was written',
      () => resolved({}, { SYNC_AGENT_GRACE: '5' }),
      /SYNC_AGENT_GRACE = "5": expected a duration/,
    ],
    [
      'names a bad flag',
      () => resolved({ 's3.partSize': '1MiB' }),
      /--s3-part-size = "1MiB": expected a size of at least 5MiB/,
    ],
    [
      'tells how long the name of a host may be',
      () => resolved({}, { SYNC_AGENT_HOST: 'x'.repeat(1025) }),
      /SYNC_AGENT_HOST = "x{200}"…: expected a name of at most 1024 characters$/,
    ],
    [
      'tells the choices',
      () => resolved({ history: 'cpoy' }),
      /--history = "cpoy": expected one of copy, linked/,
    ],
    ['tells of JSON that is none', () => (write('sync-agent.config.json', '{'), resolved()), /is not JSON/],
    [
      'tells of a package.json that is no JSON and has settings',
      () => (write('package.json', '{ "syncAgent": { "keep": 1 }, }'), resolved()),
      /package\.json": it is not JSON/,
    ],
    [
      'tells of a file that is missing',
      () => resolved({}, {}, 'nowhere.json'),
      /nowhere\.json": it does not exist/,
    ],
    [
      'refuses a number where a duration needs its unit',
      () => (write('sync-agent.config.json', { grace: 3600 }), resolved()),
      /"grace" in .* = 3600/,
    ],
    ['refuses to be quiet and verbose', () => resolved({ quiet: true, verbose: true }), /quiet and verbose/],
  ];
  it.each(cases)('%s', async (_, act, message, remedy = /.*/) => {
    const error = await act().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'USAGE', message: expect.stringMatching(message) as string });
    expect((error as { remedy?: string }).remedy ?? '').toMatch(remedy);
  });

  it('leaves variables of tests alone', async () => {
    await expect(
      resolved({}, { SYNC_AGENT_TEST_S3_ENDPOINT: 'x', SYNC_AGENT_GLIBC_DIR: '/x' }),
    ).resolves.toBeDefined();
  });

  it('shows both forms of a remote when there is none', async () => {
    const config = await resolved();
    expect(() => agentSettings(config)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        remedy: expect.stringMatching(/s3:\/\/bucket\/prefix.*file:\/\/\//) as string,
      }),
    );
  });
});

describe('the lease', () => {
  it.each([
    ['off', undefined],
    ['60s', 60_000],
    ['24h', 86_400_000],
  ])('%s is understood', async (lease, leaseMs) => {
    expect(agentSettings(await resolved({ lease, remote: 's3://x' })).leaseMs).toBe(leaseMs);
  });

  it.each(['9s', '25h', '60', 'on'])('%s is refused', async (lease) => {
    await expect(resolved({ lease })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('off, or a duration from 10s to 24h') as string,
    });
  });
});
