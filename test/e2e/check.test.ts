import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { CheckReport } from '../../src/index.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { runCli } from '../support/cli.ts';
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
    const server = await startChromaServer({ path: dir });
    try {
      const { exitCode, report } = await check('./dying', '--chroma', server.url);
      expect(report.damage.map(({ where }) => where)).toEqual(['collection "alpha-l2"']);
      expect(report.server?.heartbeatMs).toBeTypeOf('number');
      expect(report.server?.problems.map(({ where }) => where)).toContain('collection "alpha-l2"');
      expect(exitCode).toBe(5);
    } finally {
      await server.stop('SIGKILL');
    }
  });
});
