import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { CheckReport } from '../../src/index.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { runCli } from '../support/cli.ts';
import { startAgent } from '../support/running-agent.ts';
import { unpackFixture } from '../support/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'sync-agent-check-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const check = async (
  ...args: readonly string[]
): Promise<{ exitCode: number | null; report: CheckReport }> => {
  const { exitCode, stdout } = await runCli(['check', '--json', ...args], { cwd: root });
  return { exitCode, report: JSON.parse(stdout) as CheckReport };
};

describe('sync-agent check', () => {
  test('needs no remote, says what is sound, and leaves nothing behind', async () => {
    unpackFixture('chroma-0.6.3', join(root, 'old'));
    const before = readdirSync(root);
    const { exitCode, stdout } = await runCli(['check', './old'], { cwd: root });
    expect(stdout).toContain('/old" is sound: chroma, 2,033 records in 3 collections\n');
    expect(exitCode).toBe(0);
    expect(readdirSync(root)).toEqual(before);
  });

  test('names damage with its command, and exits with 5', async () => {
    const dir = unpackFixture('chroma-1-b', join(root, 'damaged'));
    const folder = readdirSync(dir).find((name) => name.startsWith('5c075afb')) ?? '';
    rmSync(join(dir, folder, 'length.bin'));
    const { exitCode, stdout } = await runCli(['check', './damaged'], { cwd: root });
    expect(stdout).toContain(`damage   Collection "alpha-l2": ${folder}/length.bin is missing\n`);
    expect(stdout).toContain('concerns "alpha-l2" with 91 records\n');
    expect(stdout).toContain(`mend it: sync-agent repair --store ${dir}\n`);
    expect(exitCode).toBe(5);
  });

  test('a store whose server is not there exits with 6, and is judged all the same', async () => {
    unpackFixture('chroma-1-b', join(root, 'alone'));
    const { exitCode, report } = await check('./alone', '--chroma', 'http://127.0.0.1:9');
    expect(report).toMatchObject({
      isSound: false,
      damage: [],
      records: 201,
      server: { isReachable: false },
    });
    expect(exitCode).toBe(6);
  });
});

describe.skipIf(chromaAvailable() !== undefined)('sync-agent check --chroma', () => {
  test('asks the server of a store in use for every collection, and does not disturb it', async () => {
    const dir = unpackFixture('chroma-1-b', join(root, 'running'));
    const server = await startChromaServer({ path: dir });
    try {
      const { exitCode, report } = await check('./running', '--chroma', server.url);
      expect(report).toMatchObject({ isSound: true, source: 'image', records: 201 });
      expect(report.server).toMatchObject({ isReachable: true, problems: [] });
      expect(report.server?.collections.map(({ name, records }) => [name, records])).toEqual(
        expect.arrayContaining([
          ['alpha-l2', 91],
          ['empty-one', 0],
        ]),
      );
      const alpha = report.server?.collections.find(({ name }) => name === 'alpha-l2');
      expect(alpha?.queryMs).toBeTypeOf('number');
      expect(exitCode).toBe(0);
    } finally {
      await server.stop();
    }
  });

  test('names the collection that the server cannot read, and that it died of it', async () => {
    const dir = unpackFixture('chroma-1-b', join(root, 'dying'));
    const folder = readdirSync(dir).find((name) => name.startsWith('5c075afb')) ?? '';
    // Zeroed levels end the server at the first access, not at its start.
    const links = join(dir, folder, 'link_lists.bin');
    writeFileSync(links, Buffer.alloc(statSync(links).size));
    // Not as if somebody were writing just now, for whom a capture would wait.
    utimesSync(links, 1e9, 1e9);
    const server = await startChromaServer({ path: dir });
    try {
      const agent = createAgent({ store: dir, remote: '' });
      const report = await agent.check({ server: { url: server.url, timeoutMs: 1500 } });
      expect(report.isSound).toBe(false);
      expect(report.damage.map(({ where }) => where)).toEqual(['collection "alpha-l2"']);
      expect(report.server?.heartbeatMs).toBeTypeOf('number');
      expect(report.server?.problems.map(({ where }) => where)).toContain('collection "alpha-l2"');
    } finally {
      await server.stop('SIGKILL');
    }
  });
});

describe('sync-agent watch --check-interval', () => {
  test('finds damage while nobody backs up, and says so everywhere', async () => {
    const dir = unpackFixture('chroma-1-b', join(root, 'watched'));
    const marker = join(root, 'told');
    const agent = startAgent(
      ['watch', '--verbose', '--check-interval', '100ms', '--hook-on-damage', `echo "$HOOK_NAME" >${marker}`],
      {
        SYNC_AGENT_STORE: dir,
        SYNC_AGENT_REMOTE: pathToFileURL(join(root, 'remote')).href,
        // No backup notices the damage first.
        SYNC_AGENT_DETECT: 'poll',
        SYNC_AGENT_POLL_INTERVAL: '1h',
        SYNC_AGENT_INTERVAL: '1h',
        SYNC_AGENT_HTTP: '127.0.0.1:0',
      },
    );
    try {
      const { url } = (await agent.saw('listening')) as unknown as { url: string };
      expect(await agent.saw('checked')).toMatchObject({ isSound: true, isUnchanged: false });
      const folder = readdirSync(dir).find((name) => name.startsWith('5c075afb')) ?? '';
      rmSync(join(dir, folder, 'length.bin'));
      const found = await agent.saw('checked', ({ isSound }) => isSound === false);
      expect(found.msg).toContain(
        `The store is damaged: Collection "alpha-l2": ${folder}/length.bin is missing`,
      );
      expect((await fetch(new URL('readyz', url))).status).toBe(503);
      expect(await (await fetch(new URL('metrics', url))).text()).toContain('sync_agent_store_sound 0\n');
      const status = ['status', '--store', dir, '--remote', pathToFileURL(join(root, 'remote')).href];
      // The agent writes its status a moment after its events.
      await expect
        .poll(async () => (await runCli(status, { cwd: root })).stdout, { timeout: 90_000 })
        .toMatch(/checked +damaged: Collection "alpha-l2"/);
      expect(readFileSync(marker, 'utf8')).toBe('on-damage\n');
    } finally {
      agent.child.kill('SIGKILL');
    }
  });
});

describe('sync-agent run --check-interval --on-damage recover', () => {
  test('stops the command, restores, and starts it again', async () => {
    const dir = unpackFixture('chroma-1-b', join(root, 'supervised'));
    const agent = startAgent(
      [
        'run',
        '--check-interval',
        '2s',
        '--on-damage',
        'recover',
        '--',
        process.execPath,
        '-e',
        'setInterval(() => 0, 1000)',
      ],
      {
        SYNC_AGENT_STORE: dir,
        SYNC_AGENT_REMOTE: pathToFileURL(join(root, 'supervised-remote')).href,
        // No backup notices the damage first.
        SYNC_AGENT_DETECT: 'poll',
        SYNC_AGENT_POLL_INTERVAL: '1h',
        SYNC_AGENT_INTERVAL: '1h',
        SYNC_AGENT_SETTLE: '10ms',
        SYNC_AGENT_HTTP: 'off',
      },
    );
    try {
      await agent.saw('command-started');
      await agent.saw('operation-finished', ({ outcome }) => outcome === 'committed');
      const folder = readdirSync(dir).find((name) => name.startsWith('5c075afb')) ?? '';
      rmSync(join(dir, folder, 'length.bin'));
      await agent.saw('recovery', ({ state }) => state === 'done');
      await agent.saw('command-started');
      expect(readdirSync(join(dir, folder))).toContain('length.bin');
      await agent.stop();
      expect(agent.log.at(-1)).toMatchObject({ type: 'stopped', isSaved: true });
    } finally {
      agent.child.kill('SIGKILL');
    }
  });
});
