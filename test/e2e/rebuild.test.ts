import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { createSyncAgent } from '../../src/library/create-sync-agent.ts';
import { buildCli } from '../support/built-cli.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { runCli, startCli } from '../support/cli.ts';
import { readDocument } from '../support/documents.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { readTree } from '../support/host.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'sync-agent-rebuild-')));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let cwd = '';
let number = 0;
beforeEach(() => {
  cwd = join(root, String((number += 1)));
  mkdirSync(join(cwd, 'store'), { recursive: true });
  writeFileSync(join(cwd, 'store', 'a.txt'), 'the old one');
});

const place = () => ['--store', './store', '--remote', `file://${cwd}/remote`];
const rebuild = (options: readonly string[], script: string) =>
  startCli(['rebuild', ...place(), ...options, '--', 'sh', '-c', script], { cwd });
const old = { 'a.txt': 'the old one' };
const home = () => readdirSync(join(cwd, '.store.sync-agent'));

describe('sync-agent rebuild', () => {
  it('puts what the command built in the place of the store, and leaves stdout to the command', async () => {
    const { exitCode, stdout, stderr } = await rebuild(
      [],
      'echo mine; printf "the new one" >$SYNC_AGENT_BUILD_DIR/b.txt',
    ).done;
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'mine\n' });
    expect(stderr).toMatch(/Rebuilt the store: 11 B in 1 file, 11 B before/);
    expect(stderr).toMatch(/to go back: sync-agent rollback \S+ --store .\/store --remote file:/);
    expect(await readTree(join(cwd, 'store'))).toEqual({ 'b.txt': 'the new one' });
  });

  it('ends with the exit code of a command that failed, and the store is byte for byte', async () => {
    const failed = await rebuild([], 'echo x >$SYNC_AGENT_BUILD_DIR/b.txt; exit 7').done;
    expect(failed).toMatchObject({
      exitCode: 7,
      stderr: expect.stringContaining('what it built is removed, and the store is as it was') as string,
    });
    const missing = await runCli(['rebuild', ...place(), '--', 'no-such-program'], { cwd });
    expect(missing.exitCode).toBe(127);
    const empty = await rebuild([], 'true').done;
    expect(empty).toMatchObject({
      exitCode: 10,
      stderr: expect.stringContaining('nothing was built') as string,
    });
    expect(await readTree(join(cwd, 'store'))).toEqual(old);
    expect(home()).not.toContain('build');
  });

  it('passes signals to the command', async () => {
    const running = rebuild([], 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done');
    await running.saw(/ready/);
    running.child.kill('SIGTERM');
    expect((await running.done).exitCode).toBe(9);
    expect(await readTree(join(cwd, 'store'))).toEqual(old);
    expect(home()).not.toContain('build');
  });

  it('that is killed leaves the store, and nothing for ever; the log shows that it did not end', async () => {
    const running = rebuild(
      [],
      'echo x >$SYNC_AGENT_BUILD_DIR/b.txt; echo $$ >pid; echo ready; exec sleep 60',
    );
    await running.saw(/ready/);
    running.child.kill('SIGKILL');
    await new Promise((resolve) => running.child.once('exit', resolve));
    expect(home()).toContain('build');
    expect(await readTree(join(cwd, 'store'))).toEqual(old);
    const log = await runCli(['log', ...place(), '--json'], { cwd });
    expect(JSON.parse(log.stdout)).toMatchObject({ operations: [{ operation: 'rebuild', state: 'open' }] });
    expect((await runCli(['backup', ...place()], { cwd })).exitCode).toBe(0);
    expect(home()).not.toContain('build');
    // The command outlives a SIGKILL of the program that started it.
    process.kill(Number(readFileSync(join(cwd, 'pid'), 'utf8')));
  });
});

describe('agent.rebuild', () => {
  it('runs the builder in this process, also while the agent runs', async () => {
    const agent = createSyncAgent({ store: join(cwd, 'store'), remote: `file://${join(cwd, 'remote')}` });
    await agent.start();
    try {
      const result = await agent.rebuild((dir) => writeFileSync(join(dir, 'b.txt'), 'the new one'));
      expect(result).toMatchObject({ type: 'rebuilt', records: 1 });
      expect(await readTree(join(cwd, 'store'))).toEqual({ 'b.txt': 'the new one' });
      const next = await agent.backup();
      expect(next).toMatchObject({ type: 'committed', parent: result.snapshot });
    } finally {
      await agent.stop();
    }
  });
});

describe.skipIf(chromaAvailable() !== undefined)('a store that a real server builds', () => {
  it('answers after the swap with what was built, and the next backup is a child: docs/commands.md, as printed', async () => {
    unpackFixture('chroma-1-b', join(cwd, 'chroma'));
    const section = /^## `rebuild`\n(.*?)^## /ms.exec(readDocument('docs/commands.md'))?.[1] ?? '';
    const [block = ''] = [...section.matchAll(/^```bash\n(.*?)^```/gms)].map(([, text]) => text ?? '');
    expect(block.trim().split('\n').length).toBeGreaterThan(1);
    mkdirSync(join(cwd, 'bin'));
    writeFileSync(
      join(cwd, 'bin', 'sync-agent'),
      `#!/bin/sh\nexec ${process.execPath} ${buildCli()} "$@"\n`,
      { mode: 0o755 },
    );

    // What the builder of the example does: a server of its own makes the store.
    const made = join(cwd, 'made');
    const builder = await startChromaServer({ path: made });
    const collection = await builder.client.createCollection({ name: 'anew', embeddingFunction: null });
    const ids = Array.from({ length: 300 }, (_, i) => `r${i}`);
    await collection.add({ ids, embeddings: ids.map((_, i) => [i, 1, 0]), documents: ids });
    await builder.stop();
    writeFileSync(join(cwd, 'bin', 'build-index'), `#!/bin/sh\ncp -r "${made}/." "$1"\n`, { mode: 0o755 });

    const env = {
      PATH: [join(cwd, 'bin'), process.env['PATH']].join(delimiter),
      SYNC_AGENT_STORE: './chroma',
      SYNC_AGENT_REMOTE: `file://${cwd}/remote`,
    };
    execFileSync('bash', ['-ec', block], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const agent = createAgent({ store: join(cwd, 'chroma'), remote: `file://${join(cwd, 'remote')}` });
    const [before] = await agent.list();
    expect(before?.records).toBe(201);
    expect(await agent.backup()).toMatchObject({
      type: 'committed',
      parent: before?.id,
      records: 300,
      diverged: [],
    });
    await agent.close();
    const server = await startChromaServer({ path: join(cwd, 'chroma') });
    try {
      const served = await server.client.getCollection({ name: 'anew' });
      expect(await served.count()).toBe(300);
      const {
        ids: [nearest],
      } = await served.query({ queryEmbeddings: [[17, 1, 0]], nResults: 1 });
      expect(nearest).toEqual(['r17']);
    } finally {
      await server.stop();
    }
    expect(existsSync(join(cwd, '.chroma.sync-agent', 'build'))).toBe(false);
  }, 60_000);
});
