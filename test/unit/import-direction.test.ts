import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** From the lowest up: each may import those before it. The same list is in docs/architecture.md. */
const rooms = [
  'platform',
  'remotes',
  'log',
  'formats',
  'stores',
  'home',
  'engine',
  'report',
  'api',
  'agent',
  'web',
  'settings',
  'in-process',
  'hooks',
  'operations',
  'library',
  'run',
  'cli',
  'start',
];

const upwards = rooms.flatMap((room, index) =>
  rooms.slice(index + 1).map((above) => [`src/${room}/below-${above}.ts`, `../${above}/a.ts`] as const),
);

/** Files, and what they must not import. */
const forbidden = [
  ...upwards,
  ['src/engine/backup/deep.ts', '../../cli/main.ts'],
  ['src/log/b.ts', '../remotes/s3/s3-remote.ts'],
  ['src/formats/plain/a.ts', '../../remotes/s3/s3-remote.ts'],
  ['src/stores/c.ts', '../remotes/remote.ts'],
  ['src/stores/d.ts', '../formats/registry.ts'],
  ['src/home/d.ts', '../formats/registry.ts'],
  ['src/engine/c.ts', '../remotes/s3/s3-remote.ts'],
  ['src/engine/d.ts', '../remotes/directory/directory-remote.ts'],
  ['src/engine/e.ts', '../stores/chroma/sysdb.ts'],
  ['src/engine/f.ts', '../stores/registry.ts'],
  ['src/engine/g.ts', '../stores/find-adapter.ts'],
  ['src/engine/backup/g.ts', '../../formats/plain/keys.ts'],
  ['src/hooks/a.ts', '../engine/backup/backup.ts'],
  ['src/hooks/b.ts', '../in-process/create-agent.ts'],
  ['src/report/a.ts', '../engine/backup/backup.ts'],
  ['src/cli/a.ts', '../bin.ts'],
  ['src/cli/b.ts', '../program.ts'],
  ['src/start/a.ts', '../bin.ts'],
  ['src/start/b.ts', '../platform/errors.ts'],
  ['src/platform/errors.ts', './events.ts'],
] as const;

const allowed = [
  ['src/log/ok.ts', '../platform/errors.ts'],
  ['src/start/ok.ts', '../program.ts'],
  ['src/log/ok2.ts', '../remotes/remote.ts'],
  ['src/formats/plain/ok.ts', '../../log/layout.ts'],
  ['src/engine/backup/ok3.ts', '../../formats/content-format.ts'],
  ['src/stores/ok.ts', '../platform/clock.ts'],
  ['src/engine/backup/ok.ts', '../../remotes/remote.ts'],
  ['src/engine/backup/ok2.ts', '../restore/restore.ts'],
  ['src/engine/ok3.ts', '../stores/adapter.ts'],
  ['src/engine/ok4.ts', '../log/commit-log.ts'],
  ['src/agent/ok.ts', '../engine/backup/backup.ts'],
  ['src/hooks/ok.ts', '../api/agent.ts'],
  ['src/cli/ok.ts', '../in-process/create-agent.ts'],
  ['src/bin.ts', './cli/main.ts'],
] as const;

describe('the import direction rules', () => {
  let directory = '';
  let refused: ReadonlySet<string>;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sync-agent-lint-'));
    await cp(join(root, '.oxlintrc.json'), join(directory, '.oxlintrc.json'));
    for (const [file, target] of [...forbidden, ...allowed]) {
      await mkdir(dirname(join(directory, file)), { recursive: true });
      await writeFile(join(directory, file), `export * from '${target}';\n`);
    }
    await writeFile(join(directory, 'src/engine/noisy.ts'), `console.log('noise');\n`);
    refused = await lint(directory);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it.each(forbidden)('refuse that %s imports %s', (file) => {
    expect(refused).toContain(`no-restricted-imports ${file}`);
  });
  it.each(allowed)('allow that %s imports %s', (file) => {
    expect(refused).not.toContain(`no-restricted-imports ${file}`);
  });
  it('name every room that there is, and no other', async () => {
    const found = await readdir(join(root, 'src'), { withFileTypes: true });
    const names = found.filter((each) => each.isDirectory()).map(({ name }) => name);
    expect(names.toSorted()).toEqual(rooms.toSorted());
    const page = await readFile(join(root, 'docs/architecture.md'), 'utf8');
    expect(page).toContain(rooms.join(' < '));
  });
  it('leave at most fifteen files flat in a room', async () => {
    const found = await readdir(join(root, 'src'), { recursive: true });
    const flat = new Map<string, number>();
    for (const path of found.filter((each) => each.endsWith('.ts')))
      flat.set(dirname(path), (flat.get(dirname(path)) ?? 0) + 1);
    expect([...flat].filter(([, count]) => count > 15)).toEqual([]);
  });
  it('leave nothing that runs in the room of interfaces', async () => {
    for (const name of await readdir(join(root, 'src/api'))) {
      const text = await readFile(join(root, 'src/api', name), 'utf8');
      const statements = text.split('\n').filter((line) => /^[a-z]/.test(line));
      expect(statements.filter((line) => !/^(import type|export (type|interface)) /.test(line))).toEqual([]);
    }
  });
  it('refuse a console in the engine', () => {
    expect(refused).toContain('no-console src/engine/noisy.ts');
  });
});

/** What oxlint refuses in a directory, as `rule file`. */
async function lint(cwd: string): Promise<ReadonlySet<string>> {
  const binaries = join(root, 'node_modules/.bin');
  // oxlint looks for its type-aware half in PATH when the directory has no node_modules.
  const env = { ...process.env, PATH: `${binaries}${delimiter}${process.env['PATH'] ?? ''}` };
  const output = await promisify(execFile)(join(binaries, 'oxlint'), ['--format=unix'], { cwd, env }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  );
  return new Set(
    output.split('\n').flatMap((line) => {
      const match = /^(?<file>[^:]+):\d+:\d+: .*\((?<rule>[a-z-]+)\)\]$/.exec(line);
      return match?.groups ? `${match.groups['rule']} ${match.groups['file']}` : [];
    }),
  );
}
