import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli, startCli } from '../support/cli.ts';
import { destroyPage } from '../support/damage-database.ts';
import { fingerprintOf, unpackFixture } from '../support/fixtures.ts';
import { fastTmp } from '../support/host.ts';

let root: string;
let damaged: string;
beforeAll(async () => {
  root = await mkdtemp(join(fastTmp, 'sync-agent-killed-repair-'));
  damaged = unpackFixture('chroma-0.6.3', join(root, 'damaged'));
  destroyPage(join(damaged, 'chroma.sqlite3'), 'embedding_fulltext_search_data');
});
afterAll(() => rm(root, { recursive: true, force: true }));

const namesIn = (dir: string): readonly string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** Whether a repair of the store whose home is `home` has come so far. */
const moments: Readonly<Record<string, (home: string) => boolean>> = {
  'it copies the store': (home) => stagedNames(home).length > 0,
  'it writes the database anew': (home) => stagedNames(home).includes('chroma.sqlite3-anew'),
  'it swaps': (home) => existsSync(join(home, 'journal.json')),
  'it put the old store aside': (home) => namesIn(join(home, 'rollback')).length > 0,
};

function stagedNames(home: string): readonly string[] {
  const staging = join(home, 'staging');
  return namesIn(staging).flatMap((attempt) => namesIn(join(staging, attempt, 'data')));
}

/** Repairs a damaged store, and kills that. On a busy machine it may be over before: then again. */
async function killedWhen(isReached: (home: string) => boolean): Promise<{
  readonly place: string;
  readonly store: string;
  readonly before: Readonly<Record<string, string>>;
}> {
  for (let tries = 1; tries <= 5; tries++) {
    const place = await mkdtemp(join(root, 'place-'));
    const store = join(place, 'store');
    await cp(damaged, store, { recursive: true, preserveTimestamps: true });
    const before = fingerprintOf(store);
    const { child, done } = startCli(['repair', '--store', store], { cwd: place });
    while (child.exitCode === null && !isReached(join(place, '.store.sync-agent'))) await setImmediate();
    child.kill('SIGKILL');
    if ((await done).exitCode === null) return { place, store, before };
  }
  throw new Error('No repair could be killed in time');
}

describe('a repair that is killed when', () => {
  it.each(Object.entries(moments))(
    '%s leaves the old store or the new one, and the next one goes on',
    async (_, isReached) => {
      const { place, store, before } = await killedWhen(isReached);
      const home = join(place, '.store.sync-agent');
      const isJournaled = existsSync(join(home, 'journal.json'));
      if (!isJournaled && namesIn(join(home, 'rollback')).length === 0)
        expect(fingerprintOf(store)).toEqual(before);
      const next = await runCli(['repair', '--store', store], { cwd: place });
      expect(next.exitCode, next.stderr).toBe(0);
      expect(await runCli(['check', store], { cwd: place })).toMatchObject({
        exitCode: 0,
        stdout: expect.not.stringContaining('full-text') as string,
      });
      const copies = namesIn(join(home, 'rollback'));
      expect(copies.length).toBe(1);
      expect(fingerprintOf(join(home, 'rollback', copies[0] ?? ''))).toEqual(before);
      expect(existsSync(join(home, 'journal.json'))).toBe(false);
      expect(stagedNames(home)).toEqual([]);
      const db = new Database(join(store, 'chroma.sqlite3'), { readonly: true });
      expect(db.prepare('SELECT count(*) FROM embeddings').pluck().get()).toBe(2033);
      db.close();
    },
  );
});
