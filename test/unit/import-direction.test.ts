import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Files, and what they must not import. */
const forbidden = [
  ['src/snapshot/a.ts', '../engine/backup.ts'],
  ['src/snapshot/b.ts', '../store/state.ts'],
  ['src/snapshot/c.ts', '../remote/s3-store.ts'],
  ['src/snapshot/d.ts', '../events.ts'],
  ['src/remote/a.ts', '../engine/backup.ts'],
  ['src/remote/b.ts', '../cli/main.ts'],
  ['src/remote/c.ts', '../snapshot/manifest.ts'],
  ['src/store/a.ts', '../engine/backup.ts'],
  ['src/store/b.ts', '../report/text.ts'],
  ['src/store/chroma/c.ts', '../../cli/main.ts'],
  ['src/store/d.ts', '../remote/s3-store.ts'],
  ['src/engine/a.ts', '../cli/main.ts'],
  ['src/engine/b.ts', '../report/text.ts'],
  ['src/engine/c.ts', '../remote/s3-store.ts'],
  ['src/engine/d.ts', '../remote/directory-store.ts'],
  ['src/engine/e.ts', '../store/chroma-adapter.ts'],
  ['src/engine/f.ts', '../agent.ts'],
  ['src/engine/g.ts', '../hooks/with-hooks.ts'],
  ['src/hooks/a.ts', '../cli/main.ts'],
  ['src/hooks/b.ts', '../engine/backup.ts'],
  ['src/report/a.ts', '../engine/backup.ts'],
  ['src/daemon/a.ts', '../cli/main.ts'],
  ['src/agent.ts', './cli/main.ts'],
  ['src/cli/a.ts', '../bin.ts'],
  ['src/errors.ts', './events.ts'],
] as const;

const allowed = [
  ['src/snapshot/ok.ts', '../errors.ts'],
  ['src/snapshot/ok2.ts', '../remote/object-store.ts'],
  ['src/remote/ok.ts', '../errors.ts'],
  ['src/store/ok.ts', '../clock.ts'],
  ['src/engine/ok.ts', '../remote/object-store.ts'],
  ['src/engine/ok2.ts', '../store/store-adapter.ts'],
  ['src/engine/ok3.ts', '../snapshot/commit-log.ts'],
  ['src/daemon/ok.ts', '../engine/backup.ts'],
  ['src/daemon/ok2.ts', '../hooks/with-hooks.ts'],
  ['src/hooks/ok.ts', '../agent.ts'],
  ['src/cli/ok.ts', '../agent.ts'],
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
