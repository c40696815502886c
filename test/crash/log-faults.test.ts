import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { AgentEvent } from '../../src/platform/events.ts';
import { exitCodes } from '../../src/platform/errors.ts';
import type { ErrorCode } from '../../src/platform/errors.ts';
import type { ProxiedRequest, ProxyFault } from '../support/fault-proxy.ts';
import { commitOf, makeWorld, outcomeOf, places, real } from '../support/fault-world.ts';
import type { Place, World } from '../support/fault-world.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { writeRow } from '../support/followed-store.ts';
import type { Host } from '../support/host.ts';
import { rowsOf } from '../support/queue-store.ts';

const pace = 10;
/** Waits are shorter, but not those for an answer at a start. */
const hurriedClock: Clock = {
  ...systemClock,
  monotonic: () => performance.now() * pace,
  sleep: (ms, options) => systemClock.sleep(ms < 20_000 ? ms / pace : ms, options),
};

/** Restores of a store with its checks keep a busy machine from looking at its answers. */
const patient = { stallTimeoutMs: 2000, copyTimeoutMs: 2000, connectTimeoutMs: 2000 };

const busy = { type: 'status', status: 503, code: 'SlowDown' } as const;
const forbidden = { type: 'status', status: 403, code: 'AccessDenied' } as const;
/** What happens to one request. */
const passing: readonly ProxyFault[] = [
  busy,
  { type: 'status', status: 500, code: 'InternalError' },
  { type: 'status', status: 429, code: 'TooManyRequests' },
  { type: 'status', status: 500, code: 'InternalError', when: 'after' },
  { type: 'status', status: 503, code: 'SlowDown', when: 'after' },
  { type: 'reset', when: 'before' },
  { type: 'reset', when: 'during' },
  { type: 'reset', when: 'after' },
  { type: 'reset', when: 'after', politely: true },
  { type: 'hang', when: 'after' },
  { type: 'duplicate', answer: 'first' },
  { type: 'duplicate', answer: 'second' },
  { type: 'again-later', requests: 2 },
];
/** What happens to one request and its answer, where nothing is written. */
const ofReads: readonly ProxyFault[] = [
  busy,
  { type: 'reset', when: 'before' },
  { type: 'hang', when: 'after' },
  { type: 'truncate', share: 0.5 },
  { type: 'stall', share: 0.7 },
  { type: 'length', by: -20, ending: 'close' },
  { type: 'flip', share: 0.6, bit: 3 },
];
const ofEnds: readonly ProxyFault[] = [
  busy,
  { type: 'reset', when: 'before' },
  { type: 'reset', when: 'after' },
  { type: 'hang', when: 'after' },
  { type: 'duplicate', answer: 'second' },
  { type: 'again-later', requests: 2 },
];
const staying: readonly (readonly [ProxyFault, ErrorCode])[] = [
  [forbidden, 'DENIED'],
  [busy, 'REMOTE_UNREACHABLE'],
  [{ type: 'reset', when: 'before' }, 'REMOTE_UNREACHABLE'],
];

const isSegment = ({ key }: ProxiedRequest): boolean => key.includes('/.sync-agent/log/');
const isSegmentPut = (request: ProxiedRequest): boolean =>
  request.operation === 'PutObject' && isSegment(request);
const isSegmentGet = (request: ProxiedRequest): boolean =>
  request.operation === 'GetObject' && isSegment(request);

if (real === undefined) {
  describe('faults of a log before a real server', () => {
    it.skip('needs SYNC_AGENT_TEST_S3_ENDPOINT');
  });
}

// One store, one log, one fault after the other.
describe.each(places)('faults of a log before $name', ({ open }) => {
  let place: Place;
  let world: World;
  let host: Host;
  let stopping: AbortController;
  let following: Promise<unknown>;
  let snapshot: string;
  const written: string[] = [];

  beforeAll(async () => {
    place = await open();
    world = await makeWorld(place);
    host = await makeHost();
    unpackFixture('chroma-1-b', host.store);
    start();
    await until(({ type }) => type === 'log-broken');
    snapshot = await backUp();
  });
  afterAll(async () => {
    await stop();
    await world.close();
    await place.close();
  });

  const makeHost = (): Promise<Host> =>
    world.host({ clock: hurriedClock, s3: { retry: { attempts: 6, baseDelayMs: 20 } } });

  function start(): void {
    stopping = new AbortController();
    following = host.agent.followLog({ intervalMs: 100, signal: stopping.signal });
    following.catch(() => undefined);
  }

  async function stop(): Promise<void> {
    world.proxy.setFault(undefined);
    stopping.abort();
    await following.catch(() => undefined);
  }

  /** Resolves when it has told so since `from`. */
  async function until(isTrue: (event: AgentEvent) => boolean, from = 0): Promise<void> {
    const untilMs = performance.now() + 15_000;
    while (!host.events.slice(from).some(isTrue)) {
      if (performance.now() > untilMs) throw new Error(JSON.stringify(host.events.slice(from)));
      await systemClock.sleep(5);
    }
  }

  async function backUp(): Promise<string> {
    const { id } = await commitOf(host.agent.backup({ evenUnchanged: true }));
    await until((event) => event.type === 'log-following' && event.snapshot === id);
    return id;
  }

  function write(): void {
    const id = `record ${written.length}`;
    writeRow(join(host.store, 'chroma.sqlite3'), id);
    written.push(id);
  }

  const flush = () => host.agent.flush({ timeoutMs: 60_000 });

  /** Strikes one request of those that match, each kind of request once if `kinds`. */
  function strikeOnce(fault: ProxyFault, matches: (request: ProxiedRequest) => boolean): () => number {
    const struck = new Set<string>();
    world.proxy.setFault((request) => {
      if (!matches(request) || struck.has(request.operation)) return undefined;
      struck.add(request.operation);
      return fault;
    });
    return () => struck.size;
  }

  /** What a bare machine gets: each record once, in order. */
  async function expectAllRestored(): Promise<void> {
    world.proxy.setFault(undefined);
    const bare = await world.host({ direct: true });
    expect(await bare.agent.restore()).toMatchObject({ type: 'restored', skipped: [] });
    expect(recordsIn(bare)).toEqual(written);
    expect(await bare.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
  }

  const recordsIn = (of: Host): readonly string[] =>
    rowsOf(of.store, 240).map((row) => (JSON.parse(row) as { id: string }).id);

  const broken = (from: number): readonly AgentEvent[] =>
    host.events.slice(from).filter(({ type }) => type === 'log-broken');

  it.each(passing)(
    'a segment that meets %j is saved, once, and nobody is taken for its writer',
    async (fault) => {
      const from = host.events.length;
      const struck = strikeOnce(fault, isSegmentPut);
      write();
      expect(await flush()).toEqual({ type: 'flushed' });
      expect(struck()).toBe(1);
      // What arrives again comes now.
      write();
      expect(await flush()).toEqual({ type: 'flushed' });
      expect(broken(from)).toEqual([]);
    },
  );

  it.each(staying)(
    'a segment that meets %j for long is not told to be saved, and is saved later',
    async (fault, code) => {
      const from = host.events.length;
      world.proxy.setFault((request) => (isSegmentPut(request) ? fault : undefined));
      write();
      const outcome = await outcomeOf(host.agent.flush({ timeoutMs: 3000 }));
      expect(outcome).toMatchObject({ type: 'failed', error: { code: 'BUSY', exitCode: exitCodes.BUSY } });
      await until((event) => event.type === 'log-trouble' && event.code === code, from);
      world.proxy.setFault(undefined);
      expect(await flush()).toEqual({ type: 'flushed' });
      expect(broken(from)).toEqual([]);
    },
  );

  it('gives a bare machine all that was written', () => expectAllRestored());

  it.each(ofReads)('a log is taken up again although the first requests of a kind meet %j', async (fault) => {
    await stop();
    const from = host.events.length;
    const struck = strikeOnce(fault, () => true);
    start();
    await until((event) => event.type === 'log-following' && event.snapshot === snapshot, from);
    write();
    expect(await flush()).toEqual({ type: 'flushed' });
    expect(struck()).toBeGreaterThan(1);
    expect(broken(from)).toEqual([]);
  });

  it.each(ofReads)('a log is restored whole although the first requests of a kind meet %j', async (fault) => {
    const bare = await world.host({ s3: patient });
    strikeOnce(fault, isSegment);
    expect(await bare.agent.restore()).toMatchObject({ type: 'restored', skipped: [] });
    expect(recordsIn(bare)).toEqual(written);
  });

  it.each(staying)('a restore whose log meets %j for long fails, and leaves nothing', async (fault, code) => {
    const bare = await world.host({ s3: patient });
    world.proxy.setFault((request) => (isSegmentGet(request) ? fault : undefined));
    const outcome = await outcomeOf(bare.agent.restore());
    expect(outcome).toMatchObject({ type: 'failed', error: { code, exitCode: exitCodes[code] } });
    expect(await bare.read()).toBeUndefined();
    world.proxy.setFault(undefined);
    await bare.agent.restore();
    expect(recordsIn(bare)).toEqual(written);
  });

  it.each(ofEnds)(
    'a log is ended and goes on behind the next snapshot although requests for it meet %j',
    async (fault) => {
      const left = snapshot;
      const from = host.events.length;
      const struck = strikeOnce(
        fault,
        ({ key, operation }) => operation !== 'ListObjectsV2' && key.includes(`${left}/.sync-agent/log/`),
      );
      write();
      snapshot = await backUp();
      write();
      expect(await flush()).toEqual({ type: 'flushed' });
      expect(struck()).toBeGreaterThan(0);
      expect(broken(from)).toEqual([]);
    },
  );

  it('gives a bare machine all that was written since', () => expectAllRestored());
});
