import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { restoredToLines } from '../../../src/cli/text/restore-lines.ts';
import { withHooks } from '../../../src/hooks/with-hooks.ts';
import { plainStyle } from '../../../src/report/style.ts';
import { segmentKey, segmentsPrefix } from '../../../src/log/layout.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { followStore } from '../../support/followed-store.ts';
import type { FollowedStore } from '../../support/followed-store.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';

const hour = 3_600_000;
let clock: ReturnType<typeof shiftableClock>;
let remote: Remote;
let followed: FollowedStore;

interface Logged {
  readonly id: string;
  /** Of the writes. */
  readonly numbers: readonly number[];
  /** The number of the segment that has a write. */
  readonly segment: (index: number) => number;
  readonly segments: number;
}

/** A snapshot with three writes behind it, in the last three of its segments. */
async function logged(): Promise<Logged> {
  const id = await followed.snapshot();
  await followed.flush();
  const before = (await keys(segmentsPrefix(id))).length;
  const numbers: number[] = [];
  for (const name of ['one', 'two', 'three']) {
    numbers.push(followed.write(name));
    await followed.flush();
  }
  return { id, numbers, segment: (index) => before + 1 + index, segments: before + 3 };
}

async function keys(prefix: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const page of remote.list(prefix)) found.push(...page.objects.map(({ key }) => key));
  return found;
}

beforeEach(async () => {
  clock = shiftableClock();
  remote = createMemoryRemote({ now: clock.now });
  followed = await followStore({ remote, clock, settings: { keepLast: 1, graceMs: hour } });
});
afterEach(() => followed.remove());

describe('the log of a store behind its snapshot', () => {
  it('is told by list and show, for two requests: up to which write, and when that was', async () => {
    const { id, numbers, segments } = await logged();
    const before = followed.host.agent.counts();
    const [newest] = await followed.host.agent.list();
    const { list, get } = followed.host.agent.counts();
    expect({ list: list - before.list, get: get - before.get }).toEqual({ list: 2, get: 1 });
    expect(newest).toMatchObject({ id, logged: true, log: { segments, upTo: numbers[2] } });
    expect(Math.abs(Date.parse(newest?.log?.until ?? '') - Date.now())).toBeLessThan(60_000);
    const shown = await followed.host.agent.show(id);
    expect(shown.logReach).toEqual(newest?.log);
    expect(shown.position?.number).toBe((numbers[0] ?? 0) - 1);
  });

  it('is verified: numbers without a hole, and with read-data every segment', async () => {
    const { id, numbers, segment } = await logged();
    const verify = (readData: boolean) => followed.host.agent.verify({ readData });
    expect(await verify(false)).toMatchObject({ isSound: true });
    expect(await verify(true)).toMatchObject({ isSound: true });

    const [first = ''] = await keys(segmentsPrefix(id));
    await remote.copy(first, segmentKey(id, segment(3)));
    expect((await verify(true)).snapshots[0]?.problems).toEqual([
      expect.stringMatching(`^the log ends at operation ${numbers[2]}: .* it is number 1 of`),
    ]);
    expect((await followed.host.agent.list())[0]?.log?.problem).toContain('it is number 1');
    await remote.remove([segmentKey(id, segment(3))]);

    await remote.put(segmentKey(id, segment(1)), textBody('rotten'));
    expect(await verify(false)).toMatchObject({ isSound: true });
    const damaged = await verify(true);
    expect(damaged.isSound).toBe(false);
    expect(damaged.snapshots[0]?.problems).toEqual([
      expect.stringMatching(`^the log ends at operation ${numbers[0]}: Cannot read the log segment`),
    ]);

    await remote.remove([segmentKey(id, segment(1))]);
    const hole = `segment ${segment(1)} is missing, and later ones are there`;
    expect((await verify(false)).snapshots[0]?.problems).toEqual([`the log ends: ${hole}`]);
    expect((await verify(true)).snapshots[0]?.problems).toEqual([
      `the log ends at operation ${numbers[0]}: ${hole}`,
    ]);
    expect((await followed.host.agent.list())[0]?.log).toMatchObject({
      segments: segment(0),
      upTo: numbers[0],
    });
  });

  it('stays with its snapshot, counts in the usage, and goes with it once its own segments are old', async () => {
    const { id: first, segments } = await logged();
    clock.forward(2 * hour);
    followed.write('late');
    await followed.flush();
    const before = (await followed.host.agent.status()).remote;
    expect(before.isReachable && before.usage?.objects).toBe((await keys('')).length);
    const { id: second } = await logged();
    // The retention rule keeps one snapshot. The first is out of the log, but its last segment is young.
    clock.forward(hour / 2);
    await followed.host.agent.prune({});
    expect((await followed.host.agent.list()).map(({ id }) => id)).toEqual([second]);
    expect((await keys(segmentsPrefix(first))).length).toBe(segments + 1);
    clock.forward(hour);
    followed.write('more');
    await followed.flush();
    await followed.snapshot();
    expect(await keys(`history/${first}/`)).toEqual([]);
    expect((await keys(segmentsPrefix(second))).length).toBeGreaterThanOrEqual(3);
  });

  it('goes at once with what clear-history drops, and stays with what it keeps', async () => {
    const { id: first } = await logged();
    const { id: second, segments } = await logged();
    await followed.host.agent.clearHistory();
    expect(await keys(`history/${first}/`)).toEqual([]);
    expect((await keys(segmentsPrefix(second))).length).toBe(segments);
    // Committed again, it still has its place in the log.
    expect((await followed.host.agent.show(second)).logReach).toMatchObject({ segments });
    expect((await followed.host.agent.verify({ readData: true })).isSound).toBe(true);
  });

  it('counts again after repair-remote made the snapshot from its files alone', async () => {
    const { id, numbers, segments } = await logged();
    await followed.stop();
    const { position } = await followed.host.agent.show(id);
    await remote.remove([...(await keys('commits/')), ...(await keys('history/.commits/')), 'manifest.json']);
    const desk = await makeHost({ remote, clock });
    const { snapshots } = await desk.agent.repairRemote({ yes: true } as never);
    expect(snapshots.map((each) => each.id)).toEqual([id]);
    const rebuilt = await desk.agent.show(id);
    expect(rebuilt.position).toEqual(position);
    expect(rebuilt.files.filter(({ path }) => path.includes('.sync-agent'))).toEqual([]);
    expect((await desk.agent.list())[0]).toMatchObject({ logged: true, log: { upTo: numbers[2] } });
    const document = join(desk.root, 'document.json');
    const hooked = withHooks(
      desk.agent,
      { afterRestore: `cat >'${document}'` },
      { store: desk.store, remote: 'file:///unused' },
    );
    const restored = await hooked.restore();
    expect(restored).toMatchObject({ type: 'restored', log: { operations: 3, segments } });
    expect(JSON.parse(readFileSync(document, 'utf8'))).toMatchObject({
      result: { log: { operations: 3, segments, position: { number: numbers[2] } } },
    });
    await desk.remove();
  });

  it('is in the result of a restore: what came, until when, and why it ends', async () => {
    const { id, numbers, segment } = await logged();
    expect(await followed.stop()).toBe(true);
    await remote.put(segmentKey(id, segment(2)), textBody('rotten'));
    const dir = await mkdtemp(join(tmpdir(), 'sync-agent-log-'));
    const result = await followed.host.agent.restoreTo(join(dir, 'to'));
    const { log } = result;
    const text = restoredToLines(result, plainStyle).join('\n');
    expect(text).toContain(
      `2 writes after it, up to ${log?.until}; the server applies them at its first access`,
    );
    expect(text).toContain('missing  what was written later: Cannot read the log segment');
    expect(log).toMatchObject({
      segments: segment(1),
      operations: 2,
      position: { number: numbers[1] },
    });
    expect(log?.endedBy).toContain(segmentKey(id, segment(2)));
    const db = new Database(join(dir, 'to/chroma.sqlite3'), { readonly: true });
    const ids = db
      .prepare('SELECT id FROM embeddings_queue WHERE seq_id >= ? ORDER BY seq_id')
      .pluck()
      .all(numbers[0]);
    db.close();
    expect(ids).toEqual(['one', 'two']);
    await rm(dir, { recursive: true });
  });
});
