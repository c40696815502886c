import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import { exitCodes, isSyncAgentError, SyncAgentError } from '../../src/platform/errors.ts';
import type { ErrorCode } from '../../src/platform/errors.ts';
import { bytesBody, collect, textBody } from '../../src/remotes/body.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { GetOptions, GetResult, Remote } from '../../src/remotes/remote.ts';
import { openRemote } from '../../src/remotes/open-remote.ts';
import { retrying } from '../../src/remotes/wrappers/retrying-remote.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { isWrite } from '../support/fault-proxy.ts';
import type { ProxiedRequest, ProxyFault, ProxyHook } from '../support/fault-proxy.ts';
import {
  commitOf,
  expectSound,
  first,
  hastyClock,
  hour,
  makeWorld,
  MiB,
  outcomeOf,
  places,
  real,
  RealDate,
  restoreDate,
  second,
  shiftDate,
} from '../support/fault-world.ts';
import type { Files, Place, World } from '../support/fault-world.ts';
import { fastTmp, makeHost } from '../support/host.ts';
import type { Host } from '../support/host.ts';
import { startS3Server } from '../support/s3-server.ts';

afterEach(restoreDate);

async function failureOf(work: Promise<unknown>): Promise<SyncAgentError> {
  const outcome = await outcomeOf(work);
  if (outcome.type === 'done') throw new Error(`expected a failure, got ${JSON.stringify(outcome.value)}`);
  return outcome.error;
}

/** Answers with the fault wherever `matches`, at most `times`. */
function strike(
  matches: (request: ProxiedRequest) => boolean,
  fault: ProxyFault,
  times = Number.POSITIVE_INFINITY,
): ProxyHook {
  let left = times;
  return (request) => (matches(request) && (left -= 1) >= 0 ? fault : undefined);
}

const isCommitPut = ({ operation, key }: ProxiedRequest): boolean =>
  operation === 'PutObject' && /\/commits\/\d+\.json$/.test(key);
const isHistory = ({ key }: ProxiedRequest): boolean => key.includes('/history/');
const isHistoryPut = (request: ProxiedRequest): boolean =>
  request.operation === 'PutObject' && isHistory(request);
const isHistoryGet = (request: ProxiedRequest): boolean =>
  request.operation === 'GetObject' && isHistory(request);
const busy = { type: 'status', status: 503, code: 'SlowDown' } as const;
const forbidden = { type: 'status', status: 403, code: 'AccessDenied' } as const;
const expired = {
  type: 'status',
  status: 400,
  code: 'ExpiredToken',
  message: 'The provided token has expired.',
} as const;
const noBucket = {
  type: 'status',
  status: 404,
  code: 'NoSuchBucket',
  message: 'The specified bucket does not exist',
} as const;

if (real === undefined) {
  describe('faults before a real server', () => {
    it.skip('needs SYNC_AGENT_TEST_S3_ENDPOINT');
  });
}

// Each has a bucket of its own, and waits most of its time.
describe.concurrent.each(places)('faults before $name', ({ open }) => {
  let place: Place;
  beforeAll(async () => {
    place = await open();
  });
  afterAll(() => place.close());
  const inWorld = test.extend<{ readonly world: World }>({
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern
    world: async ({}, use) => {
      const world = await makeWorld(place);
      await use(world);
      await world.close();
    },
  });

  /** A host with one snapshot, and what that snapshot holds. */
  async function backedUp(
    world: World,
  ): Promise<{ readonly host: Host; readonly contents: Map<string, Files> }> {
    const host = await world.host();
    await host.write(first);
    const { id } = await commitOf(host.agent.backup());
    return { host, contents: new Map([[id, first]]) };
  }

  describe('a passing fault costs an attempt, no more:', () => {
    const passing: readonly ProxyFault[] = [
      { type: 'status', status: 500, code: 'InternalError' },
      busy,
      { type: 'status', status: 429, code: 'TooManyRequests', retryAfterSeconds: 1 },
      { type: 'status', status: 500, code: 'InternalError', when: 'after' },
      { type: 'refuse', ms: 20 },
      { type: 'reset', when: 'before' },
      { type: 'reset', when: 'during' },
      { type: 'reset', when: 'after' },
      { type: 'reset', when: 'after', politely: true },
    ];
    inWorld.for(passing)('%j, on every first request of a kind', async (fault, { world }) => {
      const { root, contents } = await rootOf(backedUp(world));
      // Several files at once are refused together.
      const s3 = { retry: { attempts: 12, baseDelayMs: 20 } };
      // What is refused is tried again for some seconds only, by the clock.
      const clock = fault.type === 'refuse' ? systemClock : hastyClock;
      const host = await world.host({ root, s3, clock });
      await host.write(second);
      const struck = new Set<string>();
      world.proxy.setFault(({ operation, key }) => {
        const kind = `${operation} ${key.replace(/[\d.:TZa-f-]{20,}/, 'id')}`;
        if (struck.has(kind)) return undefined;
        struck.add(kind);
        return fault;
      });
      const { id } = await commitOf(host.agent.backup());
      contents.set(id, second);
      expect(host.events.filter((event) => event.type === 'warning')).toEqual([]);
      const bare = await world.host({ s3, clock });
      struck.clear();
      expect(await bare.agent.restore()).toMatchObject({ type: 'restored', id, skipped: [] });
      expect(await bare.read()).toEqual(second);
      expect(host.events.some((event) => event.type === 'retry')).toBe(true);
      await expectSound(world, host.root, contents);
    });

    const broken: readonly ProxyFault[] = [
      { type: 'truncate', share: 0.5 },
      { type: 'truncate', share: 0 },
      { type: 'stall', share: 0.7 },
      { type: 'flip', share: 0.3, bit: 4 },
    ];
    inWorld.for(broken)('%j in the body of every file', async (fault, { world }) => {
      const { host, contents } = await backedUp(world);
      const struck = new Set<string>();
      world.proxy.setFault((request) => {
        if (!isHistoryGet(request) || struck.has(request.key)) return undefined;
        struck.add(request.key);
        return fault;
      });
      const bare = await world.host();
      expect(await bare.agent.restore()).toMatchObject({ type: 'restored', skipped: [] });
      expect(struck.size).toBe(3);
      expect(await bare.read()).toEqual(first);
      await expectSound(world, host.root, contents);
    });

    inWorld.for<ProxyFault>([
      { type: 'truncate', share: 0.9 },
      { type: 'stall', share: 0.5 },
      { type: 'length', by: 7, ending: 'close' },
      { type: 'length', by: -20, ending: 'close' },
      { type: 'replace', body: '' },
      { type: 'replace', body: '<html><body>Please log in</body></html>' },
    ])('%j in a listing, which is never taken for an empty or shorter one', async (fault, { world }) => {
      await backedUp(world);
      world.proxy.setFault(strike(({ operation }) => operation === 'ListObjectsV2', fault, 1));
      const bare = await world.host();
      expect(await bare.agent.restore()).toMatchObject({ type: 'restored' });
      expect(await bare.read()).toEqual(first);
    });
  });

  inWorld('a manifest damaged on its way once costs nobody a snapshot', async ({ world }) => {
    const { host, contents } = await backedUp(world);
    await host.write(second);
    contents.set((await commitOf(host.agent.backup())).id, second);
    // Another host, which has not cached it, commits on top of what it read.
    const other = await world.host();
    const third = { ...second, 'e.txt': 'e' };
    await other.write(third);
    const damage = strike(
      ({ operation, key }) => operation === 'GetObject' && key.includes('/commits/'),
      { type: 'flip', share: 0.5, bit: 0 },
      1,
    );
    world.proxy.setFault(damage);
    contents.set((await commitOf(other.agent.backup({ force: true }))).id, third);
    const listed = await host.agent.list();
    expect(listed.map((each) => each.id)).toEqual([...contents.keys()]);
  });

  inWorld(
    'sees damage in every read of a file for what it is, names the object, and takes the older snapshot',
    async ({ world }) => {
      const { host } = await backedUp(world);
      const flip = { type: 'flip', share: 0.5, bit: 0 } as const;
      const isFileGet: typeof isHistoryGet = (request) =>
        isHistoryGet(request) || (request.operation === 'GetObject' && !/\/commits\//.test(request.key));
      world.proxy.setFault(strike(isFileGet, flip));
      const bare = await world.host();
      const failure = await failureOf(bare.agent.restore());
      expect(failure).toMatchObject({ code: 'SNAPSHOT_CORRUPT', exitCode: 5 });
      expect(failure.message).toMatch(/history\/\S+\/(a|c|sub\/b)\.txt/);
      expect(await bare.read()).toBeUndefined();

      world.proxy.setFault(undefined);
      await host.write(second);
      const { id } = await commitOf(host.agent.backup());
      const isOfNewest: typeof isHistoryGet = ({ key }) =>
        key.includes(`/history/${id}/`) || !/\/(history|commits)\//.test(key);
      world.proxy.setFault(strike(isOfNewest, flip));
      const result = await bare.agent.restore();
      expect(result).toMatchObject({ type: 'restored', skipped: [expect.stringContaining(id)] });
      expect(await bare.read()).toEqual(first);
    },
  );

  inWorld('uploads in parts through lost, repeated and broken requests', async ({ world }) => {
    const bytes = Buffer.alloc(11 * MiB, 'sync');
    const struck = new Set<string>();
    const faults: readonly ProxyFault[] = [
      { type: 'reset', when: 'after' },
      { type: 'duplicate', answer: 'second' },
      { type: 'reset', when: 'during' },
    ];
    world.proxy.setFault(({ operation }) => {
      if (struck.has(operation)) return undefined;
      struck.add(operation);
      return faults[struck.size % faults.length];
    });
    const { region, credentials, stallTimeoutMs } = place;
    const { remote } = await openRemote(world.url, {
      s3: {
        endpoint: world.proxy.endpoint,
        region,
        credentials,
        forcePathStyle: true,
        stallTimeoutMs: stallTimeoutMs * 4,
        partSizeBytes: 5 * MiB,
      },
      clock: hastyClock,
      emit: () => undefined,
      fs: nodeFileSystem,
    });
    try {
      await remote.put('big', bytesBody(bytes));
      expect((await collect((await remote.get('big')).body, bytes.length)).equals(bytes)).toBe(true);
      expect([...struck]).toEqual(
        expect.arrayContaining(['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload']),
      );
    } finally {
      await remote.close();
    }
  });

  inWorld.sequential('waits for a link that is slow but alive', async ({ world }) => {
    const host = await world.host();
    const files = { ...first, 'long.bin': 'long'.repeat(MiB / 2) };
    await host.write(files);
    const { id } = await commitOf(host.agent.backup());
    const bare = await world.host();
    // A tenth of the file each time: more than one stretch of bytes within the time that one may take.
    const pauseMs = place.stallTimeoutMs / 5;
    world.proxy.setFault(
      strike((request) => isHistoryGet(request) && request.key.endsWith('long.bin'), {
        type: 'slow',
        pauseMs,
      }),
    );
    const started = performance.now();
    await bare.agent.restore();
    // Much longer than the silence that is allowed.
    expect(performance.now() - started).toBeGreaterThan(place.stallTimeoutMs * 1.5);
    expect(bare.events.filter((event) => event.type === 'retry')).toEqual([]);
    expect((await bare.read())?.['long.bin'] === files['long.bin']).toBe(true);
    await expectSound(world, host.root, new Map([[id, files]]));
  });

  describe('a fault that stays', () => {
    inWorld.for<readonly [ProxyFault, ErrorCode, number]>([
      [busy, 'REMOTE_UNREACHABLE', 4],
      [{ type: 'status', status: 500, code: 'InternalError' }, 'REMOTE_UNREACHABLE', 4],
      [{ type: 'status', status: 429, code: 'TooManyRequests' }, 'REMOTE_UNREACHABLE', 4],
      [{ type: 'reset', when: 'before' }, 'REMOTE_UNREACHABLE', 4],
      [{ type: 'reset', when: 'during' }, 'REMOTE_UNREACHABLE', 4],
      [expired, 'DENIED', 1],
      [forbidden, 'DENIED', 1],
      [{ type: 'status', status: 400, code: 'InvalidRequest' }, 'REMOTE_UNREACHABLE', 1],
      [noBucket, 'NOT_FOUND', 1],
    ])(
      '%j fails a backup with %s after %i attempts, and commits nothing',
      async ([fault, code, attempts], { world }) => {
        const { host, contents } = await backedUp(world);
        await host.write(second);
        const before = world.proxy.requests.length;
        world.proxy.setFault(strike(isHistoryPut, fault));
        const failure = await failureOf(host.agent.backup());
        expect(failure).toMatchObject({ code, exitCode: exitCodes[code] });
        expectAttempts(world.proxy.requests.slice(before).filter(isHistoryPut), attempts);
        expect(await host.read()).toEqual(second);
        await expectSound(world, host.root, contents);
      },
    );

    inWorld('a refused connection fails backup and restore with exit code 6', async ({ world }) => {
      const { host, contents } = await backedUp(world);
      await host.write(second);
      const bare = await world.host();
      await world.proxy.refuse();
      for (const work of [() => host.agent.backup(), () => bare.agent.restore(), () => host.agent.prune()]) {
        expect(await failureOf(work())).toMatchObject({ code: 'REMOTE_UNREACHABLE', exitCode: 6 });
      }
      expect(await bare.read()).toBeUndefined();
      expect(await host.read()).toEqual(second);
      await expectSound(world, host.root, contents);
    });
  });

  describe('credentials', () => {
    inWorld('that may only read still restore and verify; a backup is denied', async ({ world }) => {
      const { host, contents } = await backedUp(world);
      await host.write(second);
      world.proxy.setFault(strike(({ operation }) => isWrite(operation), forbidden));
      const bare = await world.host();
      expect(await bare.agent.restore()).toMatchObject({ type: 'restored' });
      expect(await bare.read()).toEqual(first);
      expect(await bare.agent.restore()).toMatchObject({ type: 'equal' });
      expect(await bare.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
      expect(await bare.agent.list()).toHaveLength(1);
      expect((await bare.agent.status()).remote).toMatchObject({});
      const failure = await failureOf(host.agent.backup());
      expect(failure).toMatchObject({ code: 'DENIED', exitCode: 7 });
      expect(failure.remedy).toMatch(/credentials/);
      expect(await host.read()).toEqual(second);
      await expectSound(world, host.root, contents);
    });

    inWorld.for([2, 4, 6, 9, 12])(
      'that expire at request %i leave both sides whole',
      async (number, { world }) => {
        const { host, contents } = await backedUp(world);
        await host.write(second);
        const begin = world.proxy.requests.length;
        world.proxy.setFault(strike((request) => request.number - begin >= number, expired));
        const outcome = await outcomeOf(host.agent.backup());
        if (outcome.type === 'failed') {
          expect(outcome.error).toMatchObject({ code: 'DENIED', remedy: 'Renew the session credentials' });
        }
        expect(await host.read()).toEqual(second);
        await learn(world, contents, second);
        const bare = await world.host();
        expect(await failureOf(bare.agent.restore())).toMatchObject({ code: 'DENIED', exitCode: 7 });
        expect(await bare.read()).toBeUndefined();
        await expectSound(world, host.root, contents);
      },
    );
  });

  inWorld.for([1, 2, 3, 5, 8])(
    'a bucket that vanishes at request %i leaves the store whole',
    async (number, { world }) => {
      const { host, contents } = await backedUp(world);
      const older = await world.host();
      await older.agent.restore();
      await host.write(second);
      const vanishAt = (begin: number): void =>
        world.proxy.setFault(strike((request) => request.number - begin >= number, noBucket));

      vanishAt(world.proxy.requests.length);
      const outcome = await outcomeOf(host.agent.backup());
      if (outcome.type === 'failed') expect(outcome.error).toMatchObject({ code: 'NOT_FOUND', exitCode: 3 });
      expect(await host.read()).toEqual(second);

      // A restore over an older store, too.
      world.proxy.setFault(undefined);
      await host.agent.backup();
      await learn(world, contents, second);
      vanishAt(world.proxy.requests.length);
      const restored = await outcomeOf(older.agent.restore());
      if (restored.type === 'failed') {
        expect(['NOT_FOUND', 'SNAPSHOT_CORRUPT']).toContain(restored.error.code);
        expect(await older.read()).toEqual(first);
      } else if (restored.value.type === 'restored') expect(await older.read()).toEqual(second);
      else expect(await older.read()).toEqual(first);
      await expectSound(world, host.root, contents);
    },
  );

  inWorld('a bucket that never was is NOT_FOUND, with what to do', async ({ world }) => {
    const { region, credentials } = place;
    const { remote } = await openRemote('s3://no-such-bucket-at-all/x', {
      s3: { endpoint: world.proxy.endpoint, region, credentials, forcePathStyle: true },
      clock: hastyClock,
      emit: () => undefined,
      fs: nodeFileSystem,
    });
    const host = await world.host({ wrap: () => remote });
    await host.write(first);
    for (const work of [() => host.agent.backup(), () => host.agent.restore(), () => host.agent.list()]) {
      const failure = await failureOf(work());
      expect(failure).toMatchObject({ code: 'NOT_FOUND', exitCode: 3 });
      expect(failure.remedy).toMatch(/Create the bucket/);
    }
    expect(await host.read()).toEqual(first);
    await remote.close();
  });

  describe('the commit', () => {
    const lost: readonly ProxyFault[] = [
      { type: 'reset', when: 'after' },
      { type: 'reset', when: 'after', politely: true },
      { type: 'hang', when: 'after' },
      { type: 'status', status: 500, code: 'InternalError', when: 'after' },
      { type: 'status', status: 503, code: 'SlowDown', when: 'after' },
      { type: 'duplicate', answer: 'first' },
      { type: 'duplicate', answer: 'second' },
      { type: 'again-later', requests: 3 },
    ];
    inWorld.for(lost)('whose answer is lost is one commit and no failure: %j', async (fault, { world }) => {
      const { host, contents } = await backedUp(world);
      await expectOneCommit(world, host, contents, fault);
      await expectSound(world, host.root, contents);
    });

    inWorld.for<ProxyFault>([
      { type: 'flip', share: 0.5, bit: 0 },
      { type: 'length', by: -40, ending: 'close' },
    ])(
      'whose answer is lost is one commit although the read-back is damaged once: %j',
      async (damage, { world }) => {
        const { host } = await backedUp(world);
        await host.write(second);
        let stage: 'healthy' | 'answer lost' | 'read-back damaged' = 'healthy';
        world.proxy.setFault((request) => {
          if (isCommitPut(request) && stage === 'healthy') {
            stage = 'answer lost';
            return { type: 'reset', when: 'after' };
          }
          if (
            stage === 'answer lost' &&
            request.operation === 'GetObject' &&
            request.key.includes('/commits/')
          ) {
            stage = 'read-back damaged';
            return damage;
          }
          return undefined;
        });
        expect(await commitOf(host.agent.backup())).toMatchObject({ generation: 2, diverged: [] });
        expect(stage).toBe('read-back damaged');
      },
    );

    inWorld('whose answer is lost every time is one commit and no failure', async ({ world }) => {
      const { host, contents } = await backedUp(world);
      await host.write(second);
      world.proxy.setFault(strike(isCommitPut, { type: 'reset', when: 'after' }));
      contents.set((await commitOf(host.agent.backup())).id, second);
      expect(await host.agent.list()).toHaveLength(2);
      await expectSound(world, host.root, contents);
    });

    inWorld('that never arrives is a failure, and the next backup makes up for it', async ({ world }) => {
      const { host, contents } = await backedUp(world);
      await host.write(second);
      world.proxy.setFault(strike(isCommitPut, { type: 'reset', when: 'before' }));
      expect(await failureOf(host.agent.backup())).toMatchObject({ code: 'REMOTE_UNREACHABLE' });
      expect(await host.agent.list()).toHaveLength(1);
      world.proxy.setFault(undefined);
      contents.set((await commitOf(host.agent.backup())).id, second);
      expect(await host.agent.list()).toHaveLength(2);
      await expectSound(world, host.root, contents);
    });

    inWorld('that happened although nobody could tell is adopted by the next run', async ({ world }) => {
      const { host, contents } = await backedUp(world);
      await host.write(second);
      let isDown = false;
      world.proxy.setFault((request) => {
        isDown ||= isCommitPut(request);
        return isDown ? { type: 'reset', when: isCommitPut(request) ? 'after' : 'before' } : undefined;
      });
      expect(await failureOf(host.agent.backup())).toMatchObject({ code: 'REMOTE_UNREACHABLE' });
      world.proxy.setFault(undefined);
      await learn(world, contents, second);
      expect(await host.agent.backup()).toMatchObject({ type: 'unchanged' });
      expect(await host.agent.list()).toHaveLength(2);
      await expectSound(world, host.root, contents);
    });

    inWorld(
      'whose answer is lost while another host takes the number keeps both snapshots',
      async ({ world }) => {
        await expectBothKept(world);
      },
    );
  });

  describe('these guards bite:', () => {
    inWorld('without the read-back, a lost answer on the commit is a false failure', async ({ world }) => {
      const { root, contents } = await rootOf(backedUp(world));
      const host = await world.host({ root, wrap: withoutReadBack });
      const fault = { type: 'reset', when: 'after' } as const;
      await expect(expectOneCommit(world, host, contents, fault)).rejects.toThrow(/Cannot put/);
    });

    inWorld('a retry that takes "already exists" for its own success loses a snapshot', async ({ world }) => {
      await expect(expectBothKept(world, trustingTheRetry)).rejects.toThrow();
    });

    inWorld('a retry of every failure repeats what is denied', async ({ world }) => {
      const { root } = await rootOf(backedUp(world));
      const host = await world.host({ root, wrap: retryingEverything });
      await host.write(second);
      const before = world.proxy.requests.length;
      world.proxy.setFault(strike(isHistoryPut, forbidden));
      await failureOf(host.agent.backup());
      const puts = world.proxy.requests.slice(before).filter(isHistoryPut);
      expect(() => expectAttempts(puts, 1)).toThrow();
    });

    inWorld('without a retry, one lost connection fails the command', async ({ world }) => {
      const { root } = await rootOf(backedUp(world));
      const host = await world.host({ root, s3: { retry: { attempts: 1 } } });
      await host.write(second);
      world.proxy.setFault(strike(isHistoryPut, { type: 'reset', when: 'during' }, 1));
      await expect(host.agent.backup()).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
    });

    inWorld('a remote that lists nothing instead of failing looks empty', async ({ world }) => {
      await backedUp(world);
      const host = await world.host({ wrap: listingNothing });
      // What an answer without a listing must never lead to.
      expect(await host.agent.restore()).toEqual({ type: 'empty-remote' });
    });
  });
});

/** Snapshots that appeared although the command said that it failed. */
async function learn(world: World, contents: Map<string, Files>, content: Files): Promise<readonly string[]> {
  const inspector = await world.host({ direct: true });
  const ids = (await inspector.agent.list()).map((each) => each.id).filter((id) => !contents.has(id));
  for (const id of ids) contents.set(id, content);
  return ids;
}

async function rootOf(made: Promise<{ readonly host: Host; readonly contents: Map<string, Files> }>) {
  const { host, contents } = await made;
  return { root: host.root, contents };
}

function expectAttempts(requests: readonly ProxiedRequest[], attempts: number): void {
  const byKey = new Map<string, number>();
  for (const { key } of requests) byKey.set(key, (byKey.get(key) ?? 0) + 1);
  expect(Math.max(...byKey.values())).toBe(attempts);
}

/** The host has one snapshot; its next commit meets the fault. */
async function expectOneCommit(
  world: World,
  host: Host,
  contents: Map<string, Files>,
  fault: ProxyFault,
): Promise<void> {
  await host.write(second);
  world.proxy.setFault(strike(isCommitPut, fault, 1));
  const result = await commitOf(host.agent.backup());
  expect(result).toMatchObject({ generation: 2, diverged: [] });
  contents.set(result.id, second);
  const listed = await host.agent.list();
  expect(listed.map((each) => each.id)).toEqual([...contents.keys()]);
  expect(await host.agent.backup()).toEqual({ type: 'unchanged', id: result.id });
}

/** Two hosts race for the number 2; the loser's answer is lost besides. */
async function expectBothKept(world: World, wrap?: (remote: Remote) => Remote): Promise<void> {
  const origin = await world.host({ direct: true });
  await origin.write(first);
  const base = await commitOf(origin.agent.backup());
  // Its request waits while the other host backs up.
  const s3 = { stallTimeoutMs: 30_000 };
  const slow = await world.host(wrap === undefined ? { s3 } : { s3, wrap });
  const fast = await world.host({ direct: true });
  for (const host of [slow, fast]) await host.agent.restore();
  await slow.write({ mine: 'slow' });
  await fast.write({ mine: 'fast' });
  let winner: string | undefined;
  world.proxy.setFault(async (request) => {
    if (!isCommitPut(request) || winner !== undefined) return undefined;
    winner = '';
    winner = (await commitOf(fast.agent.backup())).id;
    return { type: 'reset', when: 'after' };
  });
  const late = await commitOf(slow.agent.backup());
  world.proxy.setFault(undefined);
  expect(late.generation).toBe(3);
  expect(late.diverged).toEqual([winner, late.id]);
  const contents = new Map([
    [base.id, first],
    [winner ?? '', { ...first, mine: 'fast' }],
    [late.id, { ...first, mine: 'slow' }],
  ]);
  expect((await fast.agent.list()).map((each) => each.id)).toEqual([...contents.keys()]);
  await expectSound(world, slow.root, contents);
}

/** Forgets to look whether a create-only put whose answer was lost happened. */
function withoutReadBack(remote: Remote): Remote {
  const failed = new Map<string, unknown>();
  return {
    ...passingOn(remote),
    put: (key, body, options) =>
      remote.put(key, body, options).catch((error: unknown) => {
        if (key.startsWith('commits/0')) failed.set(key, error);
        throw error;
      }),
    get: (key, options) => {
      const error = failed.get(key);
      if (error === undefined) return remote.get(key, options);
      failed.delete(key);
      return Promise.reject(error instanceof Error ? error : new Error('unreachable'));
    },
  };
}

/** After a retry, "already exists" must be our own write. Must it? */
function trustingTheRetry(remote: Remote): Remote {
  return {
    ...passingOn(remote),
    put: (key, body, options) =>
      remote.put(key, body, options).catch(async (error: unknown) => {
        if (!isSyncAgentError(error, 'ALREADY_EXISTS') || !key.startsWith('commits/0')) throw error;
        return { serverTime: new Date() };
      }),
  };
}

function retryingEverything(remote: Remote): Remote {
  const eager: Remote = {
    ...passingOn(remote),
    put: (key, body, options) =>
      remote.put(key, body, options).catch((error: unknown) => {
        throw isSyncAgentError(error)
          ? new SyncAgentError(error.code, error.message, { cause: error, retryable: true })
          : error;
      }),
  };
  return retrying(eager, { attempts: 3, clock: hastyClock });
}

function listingNothing(remote: Remote): Remote {
  return {
    ...passingOn(remote),
    list: async function* () {
      yield { objects: [], serverTime: new Date() };
    },
  };
}

function passingOn(remote: Remote): Remote {
  return {
    location: remote.location,
    put: (...args) => remote.put(...args),
    get: (...args) => remote.get(...args),
    head: (...args) => remote.head(...args),
    list: (...args) => remote.list(...args),
    listDirectories: (...args) => remote.listDirectories(...args),
    copy: (...args) => remote.copy(...args),
    remove: (...args) => remote.remove(...args),
    sweepUploads: (...args) => remote.sweepUploads(...args),
    close: () => remote.close(),
  };
}

describe('a host whose clock is wrong', () => {
  it.each([-5, 5])('by %i hours works all the same, by the server’s clock', async (hours) => {
    const server = await startS3Server({ clockOffsetMs: -hours * hour });
    server.createBucket('bucket');
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const world = await makeWorld({
      endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
      stallTimeoutMs: 1000,
      canAge: false,
      makeBucket: async () => 'bucket',
      close: () => server.close(),
    });
    try {
      const host = await world.host();
      await host.write(first);
      const contents = new Map([[(await commitOf(host.agent.backup())).id, first]]);
      const [listed] = await host.agent.list();
      expect(Math.abs(listed?.ageMs ?? hour)).toBeLessThan(60_000);
      await expectSound(world, host.root, contents);
    } finally {
      await world.close();
      await server.close();
    }
  });

  it('is told the time by eight answers at once, also by those without a body', async () => {
    const server = await startS3Server({ clockOffsetMs: hour });
    server.createBucket('bucket');
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const { remote } = await openRemote('s3://bucket/prefix', {
      s3: { endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true },
      clock: hastyClock,
      emit: () => undefined,
      fs: nodeFileSystem,
    });
    try {
      const looks = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((key) => remote.head(key));
      expect(new Set(await Promise.all(looks))).toEqual(new Set([undefined]));
    } finally {
      await remote.close();
      await server.close();
    }
  });

  it.skipIf(real === undefined)('is told the time by a real server', async () => {
    const world = await makeWorld((await places.at(-1)?.open()) as Place);
    try {
      // What signs requests is wrong; the files' times are the kernel's.
      shiftDate(-5 * hour);
      const host = await world.host({ clock: { ...hastyClock, now: () => RealDate.now() } });
      await host.write(first);
      const contents = new Map([[(await commitOf(host.agent.backup())).id, first]]);
      restoreDate();
      await expectSound(world, host.root, contents);
    } finally {
      restoreDate();
      await world.close();
    }
  });
});

describe('a body that broke', () => {
  it('is not taken for whole when its rest comes short', async () => {
    const clock = { ...hastyClock, sleep: async () => {} };
    const memory = createMemoryRemote({ now: clock.now });
    await memory.put('x', textBody('0123456789'));
    const part = async (options: GetOptions | undefined, bytes: number): Promise<GetResult> => {
      const result = await memory.get('x', options);
      const body = (async function* () {
        yield (await collect(result.body, 100)).subarray(0, bytes);
        if (options?.range !== undefined) return;
        throw new SyncAgentError('REMOTE_UNREACHABLE', 'broken', { retryable: true });
      })();
      return { ...result, body };
    };
    const lying = { ...passingOn(memory), get: (_: string, options?: GetOptions) => part(options, 2) };
    const patient = await retrying(lying, { clock, attempts: 3 }).get('x');
    expect((await collect(patient.body, 100)).toString()).toBe('0123456789');
    const mute = {
      ...passingOn(memory),
      get: (_: string, options?: GetOptions) => part(options, options?.range === undefined ? 2 : 0),
    };
    const hopeless = await retrying(mute, { clock, attempts: 3 }).get('x');
    await expect(collect(hopeless.body, 100)).rejects.toThrow(/it ended at byte 2 of 10/);
  });
});

describe('a directory remote on a network file system', () => {
  it.each(['EIO', 'ESTALE'])('is tried again after %s', async (code) => {
    const root = await mkdtemp(join(fastTmp, 'sync-agent-nfs-'));
    const failed = new Set<string>();
    const stutter = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      if (failed.has(name)) return work();
      failed.add(name);
      throw Object.assign(new Error(`${code}: i/o error`), { code });
    };
    const events: string[] = [];
    const { remote } = await openRemote(pathToFileURL(join(root, 'remote')).href, {
      clock: hastyClock,
      emit: (event) => events.push(event.type),
      fs: {
        ...nodeFileSystem,
        rename: (from, to) => stutter('rename', () => nodeFileSystem.rename(from, to)),
        link: (from, to) => stutter('link', () => nodeFileSystem.link(from, to)),
        openForWrite: (path, options) => stutter('open', () => nodeFileSystem.openForWrite(path, options)),
      },
    });
    const host = await makeHost({ remote, clock: hastyClock });
    const bare = await makeHost({ remote, clock: hastyClock });
    try {
      await remote.put('other', textBody('x'));
      await host.write(first);
      await commitOf(host.agent.backup());
      expect(failed).toEqual(new Set(['open', 'rename', 'link']));
      expect(events).toContain('retry');
      await bare.agent.restore();
      expect(await bare.read()).toEqual(first);
    } finally {
      await host.remove();
      await bare.remove();
      await rm(root, { recursive: true });
    }
  });
});
