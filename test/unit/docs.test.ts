import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { allCommands } from '../../src/cli/commands.ts';
import { helpText } from '../../src/cli/help.ts';
import { archivePasswordVariable, buildDirVariable } from '../../src/settings/environment.ts';
import { flagOf, variableOf } from '../../src/settings/setting.ts';
import { settings } from '../../src/settings/settings.ts';
import { withReferenceTable } from '../../src/settings/reference.ts';
import { exitCodes } from '../../src/platform/errors.ts';
import { createSyncAgent } from '../../src/library/create-sync-agent.ts';
import { brokenLinks, codeOf, readDocument as read, repository } from '../support/documents.ts';
import { sampleEvents } from '../support/sample-events.ts';

const commands = await allCommands();

const documents = [
  'README.md',
  'docs/commands.md',
  'docs/configuration.md',
  'docs/troubleshooting.md',
  'docs/format.md',
  'docs/architecture.md',
  'docs/adding-a-format.md',
  'docs/adding-a-remote.md',
  'docs/adding-a-store.md',
  'docs/library.md',
  'docs/observability.md',
  'docs/recovery.md',
  'docs/reliability.md',
  'examples/chroma-app/README.md',
  'examples/express-upload/README.md',
  'examples/fastify-upload/README.md',
];
const repositoryFiles = ['src', 'test', 'scripts', 'deploy', 'examples', '.ci'].flatMap((directory) =>
  readdirSync(join(repository, directory), { recursive: true, encoding: 'utf8' }).map(
    (file) => `${directory}/${file}`,
  ),
);
const globalFlags = ['--config', '--help', ...Object.keys(settings).map((key) => `--${flagOf(key)}`)];
const flagsOf = (name: string): readonly string[] =>
  Object.keys(commands.find((command) => command.name === name)?.options ?? {}).map((flag) => `--${flag}`);

describe('docs/commands.md', () => {
  const text = read('docs/commands.md');

  it('has a section for each command that there is, and no other', async () => {
    const sections = [...text.matchAll(/^## `([a-z-]+)`$/gm)].map(([, name]) => name);
    expect(sections).toEqual([...commands.map(({ name }) => name), 'completion']);
    const help = await helpText(['--help'], commands);
    const listed = [...help.matchAll(/^ {2}sync-agent ([a-z-]+)/gm)].map(([, name]) => name);
    expect(new Set(listed)).toEqual(new Set(sections));
  });

  it.each(commands.map(({ name }) => name))('names the flags of %s, and no others', (name) => {
    const table = [...section(text, `\`${name}\``).matchAll(/^\| `(--[a-z-]+)` \|/gm)].map(
      ([, flag]) => flag,
    );
    expect(table).toEqual(flagsOf(name));
  });

  it('has each exit code with its number', () => {
    const rows = tableRows(text, 'Exit codes')
      .filter(([exit]) => exit !== '0')
      .map(([exit, name]) => [name?.replaceAll('`', ''), Number(exit)]);
    expect(Object.fromEntries(rows)).toEqual(exitCodes);
  });
});

describe('docs/configuration.md', () => {
  it('has the table that the settings make: "npm run docs" writes it', () => {
    expect(withReferenceTable(read('docs/configuration.md'))).toBe(read('docs/configuration.md'));
  });
});

describe.each(documents)('%s', (path) => {
  const text = read(path);

  it('uses only commands and flags that exist', () => {
    const words = codeOf(text).flatMap((line) =>
      [...line.matchAll(/\bsync-agent ([a-z][a-z-]*)([^\n|;&)]*)/g)].map(([, name = '', rest = '']) => ({
        name,
        rest,
      })),
    );
    const names = [...commands.map(({ name }) => name), 'completion'];
    for (const { name, rest } of words) {
      expect(names, `"sync-agent ${name}" in ${path}`).toContain(name);
      for (const [flag] of rest.matchAll(/--[a-z][a-z0-9-]*/g)) {
        expect([...globalFlags, ...flagsOf(name)], `"sync-agent ${name} ${flag}" in ${path}`).toContain(flag);
      }
    }
    const all = [...globalFlags, ...commands.flatMap(({ name }) => flagsOf(name))];
    for (const [, flag] of text.matchAll(/`(--[a-z][a-z0-9-]*)[^`]*`/g)) expect(all).toContain(flag);
  });

  it('names only SYNC_AGENT variables that exist', () => {
    const known = [
      'SYNC_AGENT_CONFIG',
      archivePasswordVariable,
      buildDirVariable,
      ...Object.keys(settings).map(variableOf),
      ...testVariables(),
    ];
    for (const [name] of text.matchAll(/\bSYNC_AGENT_[A-Z0-9_]+/g)) expect(known).toContain(name);
  });

  it('has no link that leads nowhere', () => {
    expect(brokenLinks(path)).toEqual([]);
  });
});

describe('docs/troubleshooting.md', () => {
  const sources = textOfSources();
  const headings = [...read('docs/troubleshooting.md').matchAll(/^### ([A-Z_]+|A warning)(:.*)?$/gm)].map(
    ([title, code = '', rest = '']) => ({ title, code, rest }),
  );

  it.each(headings)('quotes a code and words that the program says: $title', ({ code, rest }) => {
    if (code !== 'A warning') expect(Object.keys(exitCodes)).toContain(code);
    const quoted = [...rest.matchAll(/"([^"]+)"/g)].flatMap(([, words = '']) => words.split('…'));
    for (const words of quoted) expect(sources.includes(words.trim()), `"${words}" in src`).toBe(true);
  });
});

describe('docs/architecture.md', () => {
  const text = read('docs/architecture.md');
  const order = /^platform < .*$/m.exec(text)?.[0].split(' < ') ?? [];

  it('has every room of src, in the order that lint and its test enforce', () => {
    const directories = readdirSync(join(repository, 'src'), { withFileTypes: true });
    const rooms = directories.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(order.toSorted()).toEqual(rooms.toSorted());
    const enforced = /const rooms = \[(.*?)\]/s.exec(read('test/unit/import-direction.test.ts'))?.[1] ?? '';
    expect(order).toEqual([...enforced.matchAll(/'([a-z-]+)'/g)].map(([, room]) => room));
  });

  it('says what each room holds, in the same order', () => {
    const rows = tableRows(text, 'Rooms').map(([room]) => room?.replaceAll('`', ''));
    expect(rows).toEqual(order);
  });
});

describe('docs and CONTRIBUTING.md', () => {
  it.each([...documents, 'CONTRIBUTING.md', ...platformPages()])('name only files that exist: %s', (path) => {
    // A line of its own, with a colon, is the title of a file that the page writes.
    const text = read(path).replace(/^`[^`]+`:$/gm, '');
    const named = codeOf(text).filter((each) => /^[\w.-]+(\/[\w.*-]+)+\.(ts|mjs|sh)$/.test(each));
    const missing = named.filter((each) => !repositoryFiles.some((file) => isNamed(file, each)));
    expect(missing).toEqual([]);
  });
});

describe('docs/library.md', () => {
  const text = read('docs/library.md');
  const named = (heading: string): readonly string[] =>
    (text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '')
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .flatMap((line) =>
        [...(line.split('|')[1] ?? '').matchAll(/`([a-zA-Z-]+)/g)].map(([, name = '']) => name),
      );

  it('has each type of event, and no other', () => {
    expect(named('Events').toSorted()).toEqual(Object.keys(sampleEvents).toSorted());
  });

  it('has each method, and no other', () => {
    const agent = createSyncAgent({ store: '.', remote: 'file:///remote' });
    expect(named('Methods').toSorted()).toEqual(Object.keys(agent).toSorted());
  });
});

describe('the npm package', () => {
  it('holds every document that its README links to, but for the example and CONTRIBUTING', () => {
    const { files } = JSON.parse(read('package.json')) as { files: readonly string[] };
    const linked = [...read('README.md').matchAll(/\]\(([^)#\s:]+)/g)].map(([, target = '']) => target);
    const outside = linked.filter((target) => !files.some((each) => target.startsWith(each)));
    expect([...new Set(outside)].toSorted()).toEqual(['CONTRIBUTING.md', 'examples/chroma-app/README.md']);
  });
});

/** The text below a heading, up to the next one of its level or above. */
function section(text: string, title: string): string {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === title);
  expect(start, `the heading "${title}"`).toBeGreaterThan(-1);
  const level = /^#+/.exec(lines[start] ?? '')?.[0].length ?? 0;
  const isEnd = (line: string): boolean => (/^(#+) /.exec(line)?.[1]?.length ?? 9) <= level;
  const length = lines.slice(start + 1).findIndex(isEnd);
  return lines.slice(start + 1, length === -1 ? undefined : start + 1 + length).join('\n');
}

/** The cells of the first table of a section, without its header. */
function tableRows(text: string, title: string): readonly (readonly string[])[] {
  const lines = section(text, title)
    .split('\n')
    .filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}

function textOfSources(): string {
  const files = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts'))
    .map((file) => read(`src/${file}`))
    .join('\n');
}

/** A document may name a file from the top, or a file of `src` from its room; `*` stands for part of a name. */
function isNamed(file: string, name: string): boolean {
  const pattern = new RegExp(`^(src/)?${name.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`);
  return pattern.test(file);
}

function platformPages(): readonly string[] {
  return readdirSync(join(repository, 'docs/platforms')).map((name) => `docs/platforms/${name}`);
}

/** Those that some test reads. */
function testVariables(): readonly string[] {
  const files = readdirSync(join(repository, 'test'), { recursive: true, encoding: 'utf8' });
  const texts = files.filter((file) => file.endsWith('.ts')).map((file) => read(`test/${file}`));
  return [...texts.join('\n').matchAll(/env\['(SYNC_AGENT_TEST_[A-Z0-9_]+)'\]/g)].map(
    ([, name = '']) => name,
  );
}
