import { describe, expect, it } from 'vitest';
import type { GivenAnswers } from '../../../../src/cli/init/given-answers.ts';
import { completeAnswers } from '../../../../src/cli/init/complete-answers.ts';
import type { FoundStore } from '../../../../src/cli/init/find-stores.ts';
import type { InitFacts, JsonObject } from '../../../../src/cli/init/init-facts.ts';
import { nextSteps } from '../../../../src/cli/init/outcome.ts';
import { planInit } from '../../../../src/cli/init/plan-init.ts';
import type { InitAnswers } from '../../../../src/cli/init/plan-init.ts';

const answers: InitAnswers = {
  store: '/app/chroma',
  remote: 's3://bucket/my-app',
  settings: {},
  configIn: 'file',
  prestart: true,
};

function factsOf(files: { readonly config?: JsonObject; readonly manifest?: JsonObject }): InitFacts {
  const text = (content: JsonObject | undefined): string | undefined =>
    content === undefined ? undefined : `${JSON.stringify(content, null, 2)}\n`;
  return {
    cwd: '/app',
    config: files.config,
    manifest: files.manifest,
    configText: text(files.config),
    packageText: text(files.manifest),
  };
}

/** The files that a plan writes, by path, as they read. */
function written(given: InitAnswers, facts: InitFacts): Record<string, unknown> {
  return Object.fromEntries(
    planInit(given, facts).writes.map(({ path, after }) => [path, JSON.parse(after) as unknown]),
  );
}

describe('the plan', () => {
  it('writes a config beside package.json, and a prestart into it', () => {
    expect(written(answers, factsOf({ manifest: { name: 'x', scripts: { start: 'node .' } } }))).toEqual({
      '/app/sync-agent.config.json': { store: './chroma', remote: 's3://bucket/my-app' },
      '/app/package.json': { name: 'x', scripts: { prestart: 'sync-agent restore', start: 'node .' } },
    });
  });

  it('can put both into package.json, by one write', () => {
    const settings = { 's3.endpoint': 'http://minio:9000', keep: 48 };
    const plan = written({ ...answers, settings, configIn: 'package' }, factsOf({ manifest: { name: 'x' } }));
    expect(plan).toEqual({
      '/app/package.json': {
        name: 'x',
        syncAgent: {
          store: './chroma',
          remote: 's3://bucket/my-app',
          keep: 48,
          s3: { endpoint: 'http://minio:9000' },
        },
        scripts: { prestart: 'sync-agent restore' },
      },
    });
  });

  it('runs the prestart that is there after the restore, and leaves one that restores', () => {
    const of = (prestart: string) =>
      planInit(answers, factsOf({ manifest: { scripts: { prestart } } })).prestart;
    expect(of('node migrate.js')).toEqual({
      type: 'extended',
      script: 'sync-agent restore && node migrate.js',
    });
    expect(of('npx sync-agent restore --on-error continue')).toMatchObject({ type: 'present' });
    expect(of('echo sync-agent')).toMatchObject({ type: 'extended' });
  });

  it('keeps settings that were not asked for, and drops the server of the remote before', () => {
    const config = {
      store: './old',
      remote: 's3://old',
      keep: 7,
      hookAfterBackup: 'true',
      s3: { endpoint: 'http://old:9000', region: 'old', partSize: '16MiB' },
    };
    expect(written({ ...answers, prestart: false }, factsOf({ config }))).toEqual({
      '/app/sync-agent.config.json': {
        store: './chroma',
        remote: 's3://bucket/my-app',
        keep: 7,
        hookAfterBackup: 'true',
        s3: { partSize: '16MiB' },
      },
    });
  });

  it('is empty when everything says so already', () => {
    const config = { store: './chroma', remote: 's3://bucket/my-app' };
    const manifest = { scripts: { prestart: 'sync-agent restore' } };
    expect(planInit(answers, factsOf({ config, manifest })).writes).toEqual([]);
  });

  it('writes paths below the config relative to it, others as they are', () => {
    const configOf = (store: string, remote: string): unknown =>
      written({ ...answers, store, remote, prestart: false }, factsOf({}))['/app/sync-agent.config.json'];
    expect(configOf('/app/a/b', 'file:///app/back%20up')).toEqual({
      store: './a/b',
      remote: 'file:./back up',
    });
    expect(configOf('/data', 'file:///mnt/backup')).toEqual({ store: '/data', remote: 'file:///mnt/backup' });
  });

  it.each([
    ['a remote', { remote: 's3://key:s3cret@bucket' }],
    ['an endpoint', { settings: { 's3.endpoint': 'https://key:s3cret@host' } }],
    ['a token', { settings: { httpToken: 's3cret-s3cret-s3cret' } }],
    ["a hook's URL", { settings: { hookAfterBackup: 'http://key:s3cret@host/x' } }],
    ['the query of one', { settings: { hookBeforeBackup: 'http://host/x?token=s3cret' } }],
    ["a hook's command", { settings: { hookAfterRestore: 'curl https://key:s3cret@host' } }],
  ])('refuses a credential in %s, and does not repeat it', (_, part) => {
    const plan = () => planInit({ ...answers, ...part }, factsOf({ manifest: {} }));
    expect(plan).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
    expect(plan).not.toThrow(/s3cret/);
  });

  it('names the variable that a credential belongs into', () => {
    expect(() => planInit({ ...answers, settings: { httpToken: 'x'.repeat(16) } }, factsOf({}))).toThrow(
      expect.objectContaining({ remedy: 'Set SYNC_AGENT_HTTP_TOKEN in the environment instead' }) as Error,
    );
  });

  it('writes hooks whose credentials are elsewhere', () => {
    const settings = {
      hookBeforeBackup: 'curl https://$USER:$PASSWORD@host',
      hookAfterBackup: 'https://host/done',
    };
    expect(
      written({ ...answers, settings, prestart: false }, factsOf({}))['/app/sync-agent.config.json'],
    ).toMatchObject(settings);
  });

  it('refuses fixed times that "watch" would refuse', () => {
    expect(() => planInit({ ...answers, settings: { cron: '61 * * * *' } }, factsOf({}))).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: expect.stringContaining('Cannot use "61 * * * *" as a cron expression') as string,
      }) as Error,
    );
  });

  it.each([{ prestart: true }, { configIn: 'package', prestart: false }] as const)(
    'refuses what needs a package.json where there is none: %o',
    (part) => {
      expect(() => planInit({ ...answers, ...part }, factsOf({}))).toThrow('there is none in "/app"');
    },
  );
});

describe('without questions', () => {
  const given: GivenAnswers = {
    store: undefined,
    remote: 's3://bucket/x',
    settings: {},
    configIn: undefined,
    prestart: undefined,
    force: false,
  };
  const store = (path: string, kind: FoundStore['kind'] = 'chroma'): FoundStore => ({ path, kind, bytes: 1 });

  it('the only store that was found is taken, and a Chroma before other databases', () => {
    expect(completeAnswers(given, factsOf({}), [store('/app/db')])).toEqual({
      store: '/app/db',
      remote: 's3://bucket/x',
      settings: {},
      configIn: 'file',
      prestart: false,
    });
    const both = [store('/app/db'), store('/app/other', 'sqlite')];
    expect(completeAnswers(given, factsOf({}), both).store).toBe('/app/db');
  });

  const refused: readonly [string, GivenAnswers, InitFacts, readonly FoundStore[], string, RegExp][] = [
    ['no store', given, factsOf({}), [], 'USAGE', /--store/],
    ['a mere directory', given, factsOf({}), [store('/app/data', 'files')], 'USAGE', /--store/],
    ['two stores', given, factsOf({}), [store('/a'), store('/b')], 'USAGE', /--store with one of \/a, \/b/],
    ['no remote', { ...given, remote: undefined }, factsOf({}), [store('/a')], 'USAGE', /--remote/],
    [
      'another prestart',
      given,
      factsOf({ manifest: { scripts: { prestart: 'x' } } }),
      [store('/a')],
      'USAGE',
      /--prestart .*--no-prestart/,
    ],
    ['a config that is there', given, factsOf({ config: {} }), [store('/a')], 'REFUSED', /--force/],
    [
      'a second config',
      { ...given, force: true, configIn: 'file' },
      factsOf({ manifest: { syncAgent: {} } }),
      [store('/a')],
      'USAGE',
      /--config-in package/,
    ],
  ];
  it.each(refused)('%s is an error that names the flag', (_, said, facts, found, code, remedy) => {
    expect(() => completeAnswers(said, facts, found)).toThrow(
      expect.objectContaining({ code, remedy: expect.stringMatching(remedy) as string }) as Error,
    );
  });

  it('a config that is there is changed where it stands with --force', () => {
    const facts = factsOf({ manifest: { syncAgent: {} } });
    expect(completeAnswers({ ...given, force: true }, facts, [store('/a')]).configIn).toBe('package');
  });
});

describe('next steps', () => {
  const stepsFor = (manifest: JsonObject | undefined, part: Partial<InitAnswers> = {}): string => {
    const facts = factsOf(manifest === undefined ? {} : { manifest });
    const all = { ...answers, prestart: manifest !== undefined, ...part };
    return nextSteps(all, planInit(all, facts), facts).join('\n');
  };

  it('say where credentials come from, for S3 only', () => {
    expect(stepsFor({})).toContain('AWS_ACCESS_KEY_ID');
    expect(stepsFor({}, { remote: 'file:///mnt/x' })).not.toContain('AWS');
  });

  it('say what is missing: the package, a start script, a package.json', () => {
    expect(stepsFor({})).toMatch(/npm install sync-agent[^]*"start" script/);
    expect(stepsFor({ dependencies: { 'sync-agent': '*' }, scripts: { start: 'x' } })).not.toMatch(
      /install|"start" script/,
    );
    expect(stepsFor(undefined)).toContain('npx sync-agent restore && <start command>');
  });
});
