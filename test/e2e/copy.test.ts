import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CopyResult } from '../../src/index.ts';
import { openAnyS3 } from '../support/any-s3.ts';
import type { AnyS3 } from '../support/any-s3.ts';
import { buildCli } from '../support/built-cli.ts';
import { runCli } from '../support/cli.ts';
import { readDocument } from '../support/documents.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { startAgent } from '../support/running-agent.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'sync-agent-copy-')));
let s3: AnyS3;
beforeAll(async () => {
  s3 = await openAnyS3();
});
afterAll(async () => {
  await s3.close();
  rmSync(root, { recursive: true, force: true });
});

/** An application's directory with a store and a snapshot of it. */
async function place(name: string, remote: string): Promise<string> {
  const cwd = join(root, name);
  unpackFixture('chroma-1-b', join(cwd, 'chroma'));
  const config = { store: './chroma', remote, http: 'off' };
  writeFileSync(join(cwd, 'sync-agent.config.json'), JSON.stringify(config));
  expect((await runCli(['backup'], { cwd, env: s3.env })).exitCode).toBe(0);
  return cwd;
}

describe('sync-agent copy', () => {
  it('does what docs/commands.md prints', async () => {
    const cwd = await place('printed', `file://${root}/printed-remote`);
    const section = /^## `copy`\n(.*?)^## /ms.exec(readDocument('docs/commands.md'))?.[1] ?? '';
    const [config = ''] = [...section.matchAll(/^```json\n(.*?)^```/gms)].map(([, text]) => text ?? '');
    const [block = ''] = [...section.matchAll(/^```bash\n(.*?)^```/gms)].map(([, text]) => text ?? '');
    expect(config).toContain('"file:///mnt/offsite/my-app"');
    writeFileSync(join(cwd, 'offsite.config.json'), config.replace('/mnt/offsite', join(root, 'offsite')));
    mkdirSync(join(cwd, 'bin'));
    const script = `#!/bin/sh\nexec ${process.execPath} ${buildCli()} "$@"\n`;
    writeFileSync(join(cwd, 'bin', 'sync-agent'), script, { mode: 0o755 });
    const { stdout } = await promisify(execFile)('bash', ['-ec', block], {
      cwd,
      env: { PATH: [join(cwd, 'bin'), process.env['PATH']].join(delimiter), HOME: root },
    });
    expect(stdout).toMatch(/^Copied 1 snapshot to file:\/\/.*\/offsite\/my-app$/m);
    expect(stdout).toMatch(/^Restored snapshot/m);
    expect(readFileSync(join(cwd, 'look', 'chroma.sqlite3'))).toEqual(
      readFileSync(join(cwd, 'chroma', 'chroma.sqlite3')),
    );
  });

  it('copies from S3 to a directory, and back to another prefix', async () => {
    const cwd = await place('mixed', `s3://${s3.bucket}/source`);
    const copy = async (...words: readonly string[]): Promise<CopyResult> => {
      const { stdout, stderr } = await runCli(['copy', '--json', ...words], { cwd, env: s3.env });
      if (stdout === '') throw new Error(stderr);
      return JSON.parse(stdout) as CopyResult;
    };
    const directory = `file://${cwd}/copy`;
    const there = await copy('--to', directory);
    expect(there).toMatchObject({ type: 'copied', snapshots: [{ files: 25 }] });
    const back = await copy('--remote', directory, '--to', `s3://${s3.bucket}/back`);
    expect(back).toMatchObject({ type: 'copied', newest: there.newest });
    const verified = await runCli(['verify', '--read-data', '--json', '--remote', `s3://${s3.bucket}/back`], {
      cwd,
      env: s3.env,
    });
    expect(JSON.parse(verified.stdout)).toMatchObject({ isSound: true });
    const restored = await runCli(['restore', '--json', '--remote', `s3://${s3.bucket}/back`], {
      cwd,
      env: s3.env,
    });
    expect(JSON.parse(restored.stdout)).toMatchObject({ type: 'equal', id: there.newest });
  });
});

describe('sync-agent watch --copy-to', () => {
  it('copies after the start and after backups, and says so everywhere', async () => {
    const cwd = await place('watched', `file://${root}/watched-remote`);
    const offsite = `file://${cwd}/offsite`;
    /** The agent writes its status a moment after its events. */
    const shows = (text: RegExp) =>
      expect.poll(async () => (await runCli(['status'], { cwd })).stdout, { timeout: 90_000 }).toMatch(text);
    const agent = startAgent(['watch', '--copy-to', offsite, '--copy-interval', '0s'], {
      SYNC_AGENT_STORE: join(cwd, 'chroma'),
      SYNC_AGENT_REMOTE: `file://${root}/watched-remote`,
      SYNC_AGENT_HTTP: '127.0.0.1:0',
      SYNC_AGENT_INTERVAL: '100ms',
      SYNC_AGENT_SETTLE: '50ms',
    });
    try {
      const { url } = (await agent.saw('listening')) as unknown as { url: string };
      expect(await agent.saw('copied')).toMatchObject({ to: offsite });
      writeFileSync(join(cwd, 'chroma', 'note.txt'), 'new');
      const second = await agent.saw('copied');
      expect(second['msg']).toMatch(/^Copied snapshot \S+ to file:\S+ in \S+: .* sent$/);
      expect(await (await fetch(new URL('metrics', url))).text()).toContain('sync_agent_copy_failures 0\n');
      expect(await (await fetch(url)).text()).toContain('Second remote');
      await shows(/copied +snapshot \S+ to file:/);
      rmSync(join(cwd, 'offsite/commits'), { recursive: true });
      writeFileSync(join(cwd, 'chroma', 'note.txt'), 'newer');
      expect(await agent.saw('operation-failed', ({ operation }) => operation === 'copy')).toMatchObject({
        level: 'error',
      });
      await shows(/copied .*1 failure since: /);
      expect(await agent.stop()).toMatchObject({ exitCode: 0 });
    } finally {
      agent.child.kill('SIGKILL');
    }
  });
});
