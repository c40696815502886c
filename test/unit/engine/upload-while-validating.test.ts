import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let remote: Remote;
let host: Host;
let nowMs: number;
beforeEach(async () => {
  nowMs = Date.now();
  remote = createMemoryRemote({ now: Date.now });
  host = await makeHost({ remote, ports: { findStoreUsers: async () => [] } });
});
afterEach(() => host.remove());

function change(sql: string): void {
  const db = new Database(join(host.store, 'app.db'));
  db.unsafeMode();
  db.exec(sql);
  db.close();
}

async function keys(): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const page of remote.list('')) found.push(...page.objects.map(({ key }) => key));
  return found;
}

const rows = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) INSERT INTO t SELECT i, 'text ' || i FROM n`;

describe('a backup that uploads while it validates', () => {
  it('leaves nothing in the remote of a first store that is damaged', async () => {
    await host.write({ 'app.db': '' });
    change(`CREATE TABLE t(i, x); ${rows(3000)}`);
    change("PRAGMA writable_schema = 1; UPDATE sqlite_master SET rootpage = 2000 WHERE name = 't'");
    await expect(host.agent.backup()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(await keys()).toEqual([]);
  });

  it('that is a dry run has nothing to discard, and asks the remote to delete nothing', async () => {
    await host.write({ 'app.db': '' });
    change(`CREATE TABLE t(i, x); ${rows(3000)}`);
    change("PRAGMA writable_schema = 1; UPDATE sqlite_master SET rootpage = 2000 WHERE name = 't'");
    await expect(host.agent.backup({ dryRun: true })).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(host.agent.counts()).toMatchObject({ put: 0, remove: 0 });
  });

  it('leaves nothing of a store that lost its records, and bytes enough to be uploaded first', async () => {
    await host.write({ 'app.db': '' });
    change(`CREATE TABLE t(i, x); ${rows(3000)}`);
    const first = await host.agent.backup();
    if (first.type !== 'committed') throw new Error('not committed');
    const before = await keys();
    change("DELETE FROM t; INSERT INTO t VALUES (1, 'one')");
    await expect(host.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
    expect(await keys()).toEqual(before);
    await expect(host.agent.backup({ allowShrink: true })).resolves.toMatchObject({ type: 'committed' });
  });

  it('says how long each phase took, and what it moved', async () => {
    await host.write({ 'app.db': '', notes: 'n'.repeat(1000) });
    change(`CREATE TABLE t(i, x); ${rows(3000)}`);
    // As an agent's backup, which copies the store.
    const result = await host.agent.backup({ local: { minIntervalMs: 0 } });
    if (result.type !== 'committed') throw new Error('not committed');
    expect(result.phases.map(({ phase }) => phase)).toEqual([
      'capture',
      'validate',
      'upload',
      'commit',
      'publish',
      'rotate',
    ]);
    for (const { phase, bytes, tookMs, waitedMs } of result.phases) {
      expect(tookMs).toBeGreaterThanOrEqual(waitedMs);
      expect(bytes).toBe(['capture', 'validate', 'upload'].includes(phase) ? result.bytes : 0);
    }
  });

  it('is told apart from a restore, whose phases are its own', async () => {
    await host.write({ 'app.db': '', notes: 'n'.repeat(1000) });
    change(`CREATE TABLE t(i, x); ${rows(3000)}`);
    await host.agent.backup();
    await host.wipe();
    host.events.length = 0;
    const result = await host.agent.restore();
    if (result.type !== 'restored') throw new Error('not restored');
    const { phases } = result;
    expect(phases.map(({ phase }) => phase).toSorted()).toEqual(['download', 'flush', 'swap']);
    expect(phases.find(({ phase }) => phase === 'download')?.bytes).toBe(result.bytes);
    expect(host.events).toContainEqual({ type: 'phases', phases });
  });

  it('compares the full-text indexes of a large database once a day', async () => {
    await host.write({ 'app.db': '' });
    host = await makeHost({
      remote,
      root: host.root,
      clock: { ...(await import('../../../src/platform/clock.ts')).systemClock, now: () => nowMs },
      ports: { findStoreUsers: async () => [] },
    });
    change(
      "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('seven'); CREATE TABLE b(x); INSERT INTO b VALUES (zeroblob(33 * 1024 * 1024)); CREATE TABLE t(i, x)",
    );
    change("UPDATE f_content SET c0 = 'eight'");
    const backup = async (): Promise<readonly string[]> => {
      change(rows(1));
      const result = await host.agent.backup();
      if (result.type !== 'committed') throw new Error('not committed');
      return result.findings.map(({ kind }) => kind);
    };
    expect(await backup()).toEqual([]);
    nowMs += 23 * 60 * 60 * 1000;
    expect(await backup()).toEqual([]);
    nowMs += 2 * 60 * 60 * 1000;
    expect(await backup()).toEqual(['full-text']);
    nowMs += 1000;
    expect(await backup()).toEqual(['full-text']);
    change("INSERT INTO f(f) VALUES('rebuild')");
    expect(await backup()).toEqual([]);
    nowMs += 1000;
    change("UPDATE f_content SET c0 = 'nine'");
    expect(await backup()).toEqual([]);
  });
});
