import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import { destroyPage } from '../support/damage-database.ts';
import { fingerprintOf, unpackFixture } from '../support/fixtures.ts';

const isPossible = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;
if (!isPossible) {
  const message = 'NOT TESTED: disks that are full while SQLite writes, for which a mount needs root';
  if (process.env['SYNC_AGENT_TEST_REQUIRE_ROOT'] === '1') throw new Error(message);
  console.warn(message);
}

/** A disk whose size is chosen. */
describe.skipIf(!isPossible)('a disk that gets full in the middle of', () => {
  let root: string;
  let disk: string;
  const resize = (kilobytes: number): void => {
    execFileSync('mount', ['-o', `remount,size=${kilobytes}k`, disk]);
  };
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'sync-agent-full-'));
    disk = join(root, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', disk]);
  });
  afterAll(() => {
    execFileSync('umount', ['-l', disk]);
    rmSync(root, { recursive: true, force: true });
  });

  const cases: readonly [
    string,
    damage: (store: string) => void,
    work: (agent: Agent) => Promise<{ readonly type: string }>,
    done: string,
  ][] = [
    [
      'a repair of a full-text index',
      (store) => destroyPage(join(store, 'chroma.sqlite3'), 'embedding_fulltext_search_data'),
      (agent) => agent.repair(),
      'repaired',
    ],
    [
      'a repair of vector indexes',
      (store) => {
        for (const folder of readdirSync(store))
          if (!folder.startsWith('chroma')) rmSync(join(store, folder, 'header.bin'), { force: true });
      },
      (agent) => agent.repair(),
      'repaired',
    ],
    ['maintenance', () => undefined, (agent) => agent.maintain(), 'maintained'],
  ];

  it.each(cases)('%s leaves the store as it was, wherever that is', async (_, damage, work, done) => {
    resize(65_536);
    const store = join(disk, 'store');
    rmSync(store, { recursive: true, force: true });
    rmSync(join(disk, '.store.sync-agent'), { recursive: true, force: true });
    cpSync(unpackFixture('chroma-1-a', join(root, 'fixture')), store, { recursive: true });
    rmSync(join(root, 'fixture'), { recursive: true });
    damage(store);
    const before = fingerprintOf(store);
    let phase = '';
    const remote = `file://${join(root, 'remote')}`;
    rmSync(join(root, 'remote'), { recursive: true, force: true });
    const agent = createAgent(
      { store, remote },
      {
        // What was there a moment ago, somebody else took.
        diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }),
        emit: (event) => event.type === 'phase' && (phase = event.phase),
      },
    );
    if (done === 'maintained') await agent.backup();
    const used = Number(execFileSync('df', ['--output=used', '-k', disk], { encoding: 'utf8' }).split('\n')[1]); // prettier-ignore
    const phases = new Set<string>();
    for (let free = 160; ; free += 160) {
      resize(used + free);
      const result = await work(agent).catch((error: unknown) => error);
      if (!(result instanceof Error)) {
        expect(result).toMatchObject({ type: done });
        break;
      }
      expect(result).toMatchObject({ code: 'DISK_FULL' });
      expect(result.message).toContain('the store is as it was');
      phases.add(phase);
      expect(fingerprintOf(store)).toEqual(before);
    }
    expect([...phases]).toEqual(expect.arrayContaining(['capture', 'mend']));
    const db = new Database(join(store, 'chroma.sqlite3'), { readonly: true });
    expect(db.prepare('SELECT count(*) FROM embeddings').pluck().get()).toBe(141);
    db.close();
    await agent.close();
  });
});
