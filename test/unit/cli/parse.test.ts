import { describe, expect, it } from 'vitest';
import { allCommands } from '../../../src/cli/commands.ts';
import { helpText } from '../../../src/cli/help.ts';
import { superviseCommand } from '../../../src/cli/commands/agent/supervise-command.ts';
import { parseCommandLine } from '../../../src/cli/parse.ts';
import { flagOf } from '../../../src/settings/setting.ts';
import { settingKeys } from '../../../src/settings/settings.ts';

const commands = await allCommands();

const run = superviseCommand(() => Promise.reject(new Error('is not run here')));
const parseRun = (line: string) => parseCommandLine(line.split(' '), [...commands, run]);
const parse = (line: string) => parseCommandLine(line.split(' ').filter(Boolean), commands);

describe('a command line', () => {
  it('may have its flags before and after the command', () => {
    const parsed = parse('--keep 3 prune --resolve a --dry-run --resolve=b --json');
    expect(parsed.command.name).toBe('prune');
    expect(parsed.values).toEqual({ resolve: ['a', 'b'], 'dry-run': true });
    expect(parsed.settings).toMatchObject({ keep: '3', json: true });
  });

  it('can take back what a config file or variable says', () => {
    expect(parse('list --json=false').settings).toMatchObject({ json: 'false' });
  });

  it('keeps what a switch of a setting was given, for its own judge', () => {
    expect(parse('list --json=yes').settings).toMatchObject({ json: 'yes' });
    expect(parse('watch --continuous').settings).toMatchObject({ continuous: true });
    expect(parse('watch --continuous=500ms').settings).toMatchObject({ continuous: '500ms' });
    expect(parse('run --continuous -- node x').settings).toMatchObject({ continuous: true });
    expect(parse('list --json').settings).toMatchObject({ json: true });
    expect(parse('backup --force=false').values).toEqual({ force: false });
  });

  it('takes a value that begins with a dash, and one with two after "="', () => {
    expect(parse('list --http-token -abc --host=--x').settings).toMatchObject({
      httpToken: '-abc',
      host: '--x',
    });
  });

  it('may repeat a setting that is a list', () => {
    expect(parse('backup --exclude *.log --exclude=/cache/').settings).toMatchObject({
      exclude: ['*.log', '/cache/'],
    });
  });

  it('gives positionals their names', () => {
    expect(parse('diff ~1 latest').values).toEqual({ from: '~1', to: 'latest' });
  });

  it('may have its command after "--"', () => {
    expect(parse('--json -- show latest')).toMatchObject({
      command: { name: 'show' },
      settings: { json: true },
      values: { snapshot: 'latest' },
    });
  });

  it('leaves what follows "--" to the command that is run', () => {
    const parsed = parseRun(
      '--keep 3 run --on-error fail --json -- chroma run --path /data --keep=9 -x -- --json',
    );
    expect(parsed.settings).toMatchObject({ keep: '3', json: true });
    expect(parsed.values).toEqual({
      'on-error': 'fail',
      command: ['chroma', 'run', '--path', '/data', '--keep=9', '-x', '--', '--json'],
    });
  });

  it.each([
    ['run', /it needs "--" and then COMMAND/, /run --help/],
    ['run --', /it needs "--" and then COMMAND/, /run --help/],
    ['run chroma run --path x', /COMMAND goes after "--"/, /Write sync-agent run -- chroma/],
    ['run --no-restore chroma -- run', /"chroma" is one argument too many/, /run --help/],
    ['run --path x -- chroma', /--path with "run": there is no such flag/, /.*/],
  ])('%j is refused', (line, message, remedy) => {
    expect(() => parseRun(line)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: expect.stringMatching(message) as string,
        remedy: expect.stringMatching(remedy) as string,
      }),
    );
  });

  it.each([
    ['bakcup', /no such command/, /"backup"/],
    ['', /without a command/, /backup, restore/],
    ['backup --forec', /--forec with "backup"/, /"--force"/],
    ['--kep 3 list', /--kep/, /"--keep"/],
    ['list --resolve x', /--resolve with "list"/, /.*/],
    ['list --no-json', /--no-json/, /--json=false/],
    ['list -x', /-x/, /.*/],
    ['show', /needs SNAPSHOT/, /show --help/],
    ['diff', /needs FROM/, /diff --help/],
    ['list x', /"x" is one argument too many/, /list --help/],
    ['restore --snapshot', /--snapshot: it needs a value/, /.*/],
    ['restore --snapshot --force', /--snapshot: it needs a value/, /.*/],
    ['list --keep=', /--keep: it needs a value/, /.*/],
    ['list --keep 3 --keep 4', /more than once: 3, 4/, /.*/],
    ['list --http-token abc --http-token def', /--http-token more than once$/, /.*/],
    ['list --json --json=false', /more than once: false, true/, /.*/],
    ['-- bakcup', /no such command/, /"backup"/],
    ['backup --force=maybe', /--force = "maybe"/, /.*/],
  ])('%j is refused', (line, message, remedy) => {
    expect(() => parse(line)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringMatching(message) as string }),
    );
    try {
      parse(line);
    } catch (error) {
      expect((error as { remedy?: string }).remedy ?? '').toMatch(remedy);
    }
  });
});

describe('help', () => {
  it('of every command lists every flag that the parser takes', async () => {
    for (const { name, options = {} } of commands) {
      const text = await helpText([name, '--help'], commands);
      for (const flag of ['config', ...settingKeys.map(flagOf), ...Object.keys(options)]) {
        expect(text, `${name} --help`).toContain(`--${flag} `);
      }
    }
  });

  it('shows where the command to run goes, and what may stand before it', async () => {
    const text = await helpText(['run', '--help'], [run]);
    expect(text).toContain('sync-agent run [flags] -- COMMAND [ARGUMENT...]');
    for (const flag of Object.keys(run.options ?? {})) expect(text).toContain(`--${flag} `);
    expect(text).toContain('--shutdown-budget ');
  });

  it('completes command names, and the flags of a command', async () => {
    const names = await helpText(['--get-yargs-completions', 'sync-agent', ''], commands);
    expect(names.split('\n')).toEqual(expect.arrayContaining(commands.map(({ name }) => name)));
    const flags = await helpText(['--get-yargs-completions', 'sync-agent', 'restore', '--s'], commands);
    expect(flags.split('\n')).toEqual(expect.arrayContaining(['--snapshot', '--s3-endpoint']));
    const values = await helpText(
      ['--get-yargs-completions', 'sync-agent', 'restore', '--history', ''],
      commands,
    );
    expect(values.split('\n')).toEqual(expect.arrayContaining(['copy', 'linked']));
  });
});
