import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keepDrilling } from '../../../src/agent/soundness/driller.ts';
import { operationRunner } from '../../../src/agent/run-operation.ts';
import type { Operations } from '../../../src/api/operations.ts';
import type { DrillRecord } from '../../../src/home/records/drill-record.ts';
import { readDrillRecord, writeDrillRecord } from '../../../src/home/records/drill-record.ts';
import { locateHome } from '../../../src/home/home.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { AgentEvent, DaemonEvent } from '../../../src/platform/events.ts';
import { openRemote } from '../../../src/remotes/open-remote.ts';
import { parseRemote } from '../../../src/remotes/remote-url.ts';
import { fastTmp } from '../../support/host.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

const hour = 3_600_000;
const day = 24 * hour;
let root = '';
beforeEach(() => {
  root = mkdtempSync(join(fastTmp, 'driller-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const remote = 's3://my-bucket/my-app';

interface Lifetime {
  /** When drills began, hours after the agent started. */
  readonly atHours: readonly number[];
  readonly events: readonly (DaemonEvent | AgentEvent)[];
}

const last: Omit<DrillRecord['last'], 'atMs'> = { passed: true, snapshot: 'id', chosen: 'newest', records: 1, problems: [], recovery: null, server: 'none', tookMs: 5 }; // prettier-ignore

/** Lets an agent run for so long; `startMs` is when it starts, after midnight of the virtual clock's day. */
async function live(
  hours: number,
  {
    startMs = 0,
    intervalMs = 7 * day,
    fails = () => false,
    remembers = true,
    isBusy = () => false,
  }: {
    startMs?: number;
    intervalMs?: number;
    fails?: (nth: number) => boolean;
    remembers?: boolean;
    isBusy?: () => boolean;
  } = {},
): Promise<Lifetime> {
  const clock = virtualClock();
  clock.jump(startMs);
  const home = await locateHome(join(root, 'store'));
  const beganMs = clock.now();
  const stopping = new AbortController();
  const events: (DaemonEvent | AgentEvent)[] = [];
  const atHours: number[] = [];
  const operations = {
    drill: async (options: object) => {
      expect(options).toMatchObject({ sample: true, server: 'off' });
      const nth = atHours.push((clock.now() - beganMs) / hour) - 1;
      if (fails(nth)) throw new SyncAgentError('DISK_FULL', 'Cannot drill');
      const record: DrillRecord = { last: { ...last, atMs: clock.now() }, passedAtMs: null, drilled: {} };
      if (remembers) await writeDrillRecord(nodeFileSystem, { home, location: remote }, record);
      return { type: 'passed', ...last, server: { state: 'none' } };
    },
  } as unknown as Operations;
  const emit = (event: DaemonEvent | AgentEvent): void => void events.push(event);
  const done = keepDrilling(
    {
      intervalMs,
      server: 'off',
      home,
      remote,
      clock,
      run: operationRunner({ operationsFor: () => operations, clock, emit, onSnapshot: () => undefined }),
      exclusively: async (work, signal = stopping.signal) => {
        while (isBusy()) await clock.sleep(hour);
        return work(signal);
      },
      emit,
    },
    stopping.signal,
  );
  for (let minutes = 0; minutes <= hours * 60; minutes += 1) {
    // Reading the record takes real time.
    await new Promise((resolve) => setImmediate(resolve));
    if (clock.pending() === 0) for (let i = 0; i < 50 && clock.pending() === 0; i += 1) await new Promise((resolve) => setTimeout(resolve, 1)); // prettier-ignore
    await clock.advance(60_000);
  }
  stopping.abort();
  await done;
  return { atHours: atHours.map((each) => Math.round(each * 10) / 10), events };
}

describe('drills while an agent runs', () => {
  it('begin an hour after the first start, and come again after the interval', async () => {
    const { atHours, events } = await live(30, { intervalMs: day });
    expect(atHours).toEqual([1, 25]);
    expect(events.filter(({ type }) => type === 'drilled')).toEqual([
      expect.objectContaining({ passed: true, snapshot: 'id', problems: [], recovery: null, server: 'none' }),
      expect.objectContaining({ passed: true }),
    ]);
    expect(events.filter((event) => event.type === 'operation-finished')).toMatchObject([{ operation: 'drill', outcome: 'passed' }, { operation: 'drill' }]); // prettier-ignore
  });

  it('come in time on a host that starts every few hours', async () => {
    const begun: number[] = [];
    for (let start = 0; start < 52; start += 4) {
      const { atHours } = await live(3, { startMs: start * hour, intervalMs: day });
      begun.push(...atHours.map((each) => start + each));
    }
    expect(begun).toEqual([1, 25, 49]);
  });

  it('wait for one that was made by hand meanwhile', async () => {
    const home = await locateHome(join(root, 'store'));
    const atMs = virtualClock().now();
    await writeDrillRecord(
      nodeFileSystem,
      { home, location: remote },
      { last: { ...last, atMs }, passedAtMs: null, drilled: {} },
    );
    expect((await live(12, { intervalMs: day / 2, startMs: 6 * hour })).atHours).toEqual([6]);
  });

  it('do not wait for a time in the future that a wrong clock wrote', async () => {
    const home = await locateHome(join(root, 'store'));
    const atMs = virtualClock().now() + 400 * day;
    await writeDrillRecord(
      nodeFileSystem,
      { home, location: remote },
      { last: { ...last, atMs }, passedAtMs: null, drilled: {} },
    );
    expect((await live(5, { intervalMs: 2 * hour })).atHours).toEqual([1, 3, 5]);
  });

  it('that cannot be carried out are tried again after an hour, and so are those that cannot be remembered', async () => {
    const { atHours, events } = await live(4, { fails: (nth) => nth < 2 });
    expect(atHours).toEqual([1, 2, 3]);
    expect(events.filter(({ type }) => type === 'operation-failed')).toHaveLength(2);
    rmSync(root, { recursive: true });
    expect((await live(3, { remembers: false })).atHours).toEqual([1, 2, 3]);
  });

  it('begin when no other operation runs', async () => {
    let looks = 0;
    const { atHours } = await live(5, { isBusy: () => (looks += 1) <= 2 });
    expect(atHours).toEqual([3]);
  });
});

it('a record that cannot be read is none', async () => {
  const home = await locateHome(join(root, 'store'));
  expect(await readDrillRecord(home, remote)).toBeUndefined();
  await writeDrillRecord(
    nodeFileSystem,
    { home, location: remote },
    { last: { ...last, atMs: 1 }, passedAtMs: null, drilled: {} },
  );
  expect(await readDrillRecord(home, 's3://another')).toBeUndefined();
  const [name = ''] = readdirSync(home.dir);
  writeFileSync(join(home.dir, name), '{"format":2}');
  expect(await readDrillRecord(home, remote)).toBeUndefined();
});

it.each(['s3://my-bucket/a//b/', 'S3://my-bucket', 'file:///tmp/a%20b/', "file:///tmp/o'l%23"])(
  'the agent knows its remote by the location that drills remember: %s',
  async (url) => {
    const options = { clock: virtualClock(), emit: () => undefined, fs: nodeFileSystem };
    const { remote: opened } = await openRemote(url, options);
    expect(parseRemote(url).url).toBe(opened.location);
  },
);
