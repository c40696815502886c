import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { isSyncAgentError } from '../../src/platform/errors.ts';
import type { SyncAgentError } from '../../src/platform/errors.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { openRemote } from '../../src/remotes/open-remote.ts';
import type { S3Options } from '../../src/remotes/s3/s3-settings.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { startFaultProxy } from './fault-proxy.ts';
import type { FaultProxy } from './fault-proxy.ts';
import { fastTmp, makeHost, readTree } from './host.ts';
import type { Host } from './host.ts';
import { startS3Server } from './s3-server.ts';
import { realS3, usesOwnServer } from './s3.ts';

export type Files = Readonly<Record<string, string>>;

export const hour = 3_600_000;
export const MiB = 1024 * 1024;

/** As the system's, but pauses between attempts are short; the 20 s in which a start wants its answer are not. */
export const hastyClock: Clock = {
  ...systemClock,
  sleep: (ms, options) => systemClock.sleep(ms < 20_000 ? ms / 50 : ms, options),
};

/** An S3 server to put a proxy before. */
export interface Place {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Longer than the server ever needs. */
  readonly stallTimeoutMs: number;
  /** Whether the server's clock can be set forward, with this host's. */
  readonly canAge: boolean;
  makeBucket(): Promise<string>;
  close(): Promise<void>;
}

/** One bucket behind one proxy, and hosts that use it. */
export interface World {
  readonly place: Place;
  readonly proxy: FaultProxy;
  readonly url: string;
  /** A host that reaches the bucket through the proxy; `wrap` replaces its remote by a broken variant. */
  host(options?: {
    readonly root?: string;
    readonly direct?: boolean;
    readonly s3?: S3Options;
    readonly clock?: Clock;
    readonly wrap?: (remote: Remote) => Remote;
  }): Promise<Host>;
  close(): Promise<void>;
}

export async function makeWorld(place: Place): Promise<World> {
  // Now, since it can take longer than the short deadlines of a test allow the first request.
  await Promise.all([
    import('../../src/remotes/s3/s3-remote.ts'),
    import('../../src/remotes/s3/connection/s3-client.ts'),
  ]);
  const proxy = await startFaultProxy(place.endpoint);
  const url = `s3://${await place.makeBucket()}/some prefix`;
  const hosts: Host[] = [];
  const remotes: Remote[] = [];
  return {
    place,
    proxy,
    url,
    host: async ({ root, direct = false, s3, clock = hastyClock, wrap } = {}) => {
      const { region, credentials, stallTimeoutMs } = place;
      const host = await makeHost({
        clock,
        ...(root === undefined ? {} : { root }),
        settings: { keepLast: 2, graceMs: 2 * hour },
        remote: lazily(async () => {
          const endpoint = direct ? place.endpoint : proxy.endpoint;
          const patience = direct ? 30_000 : stallTimeoutMs;
          const settings = {
            endpoint,
            region,
            credentials,
            forcePathStyle: true,
            stallTimeoutMs: patience,
            copyTimeoutMs: patience,
            connectTimeoutMs: patience,
            partSizeBytes: 5 * MiB,
            retry: { attempts: 4 },
            ...s3,
          };
          const { remote } = await openRemote(url, {
            s3: settings,
            clock,
            emit: (event) => host.events.push(event),
            fs: nodeFileSystem,
          });
          remotes.push(remote);
          return wrap?.(remote) ?? remote;
        }, url),
      });
      hosts.push(host);
      return host;
    },
    close: async () => {
      for (const remote of remotes) await remote.close();
      await proxy.close();
      for (const host of hosts) await host.remove();
    },
  };
}

/** The events of a host are known only once it is there. */
function lazily(open: () => Promise<Remote>, location: string): Remote {
  let opened: Promise<Remote> | undefined;
  const store = (): Promise<Remote> => (opened ??= open());
  return {
    location,
    put: async (...args) => (await store()).put(...args),
    get: async (...args) => (await store()).get(...args),
    head: async (...args) => (await store()).head(...args),
    list: async function* (...args) {
      yield* (await store()).list(...args);
    },
    listDirectories: async (...args) => (await store()).listDirectories(...args),
    copy: async (...args) => (await store()).copy(...args),
    remove: async (...args) => (await store()).remove(...args),
    sweepUploads: async (...args) => (await store()).sweepUploads(...args),
    close: async () => (await store()).close(),
  };
}

/** Both clocks of a server in this process and its clients. */
export const RealDate = Date;
let shiftMs = 0;
export function shiftDate(ms: number): void {
  shiftMs += ms;
  const now = (): number => RealDate.now() + shiftMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: []) => (args.length === 0 ? new target(now()) : new target(...args)),
    get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
  });
}
export function restoreDate(): void {
  globalThis.Date = RealDate;
  shiftMs = 0;
}

export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(ms, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what} did not end within ${ms} ms`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}

export type Outcome<T> =
  { readonly type: 'done'; readonly value: T } | { readonly type: 'failed'; readonly error: SyncAgentError };

/** Whatever else it throws is a defect. */
export async function outcomeOf<T>(work: Promise<T>): Promise<Outcome<T>> {
  try {
    return { type: 'done', value: await work };
  } catch (error) {
    if (!isSyncAgentError(error)) throw error;
    return { type: 'failed', error };
  }
}

export async function commitOf(work: ReturnType<Host['agent']['backup']>) {
  const result = await work;
  if (result.type !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  return result;
}

/** What must be true once the faults are over, whatever happened before. `contents`: of every snapshot ever committed. */
export async function expectSound(
  world: World,
  root: string,
  contents: ReadonlyMap<string, Files>,
): Promise<void> {
  world.proxy.setFault(undefined);
  await world.proxy.accept();
  const host = await world.host({ direct: true, root });
  const listed = await host.agent.list();
  const generations = listed.map((each) => each.generation);
  expect(new Set(generations).size).toBe(generations.length);
  if (listed.length > 0) {
    const report = await host.agent.verify({ all: true, readData: true });
    expect(report).toMatchObject({ isSound: true, damagedCommits: [] });
  }
  for (const { id } of listed) {
    const dir = await mkdtemp(join(fastTmp, 'sync-agent-to-'));
    try {
      await host.agent.restoreTo(join(dir, 'out'), { snapshot: id });
      expect(await readTree(join(dir, 'out')), `content of ${id}`).toEqual(contents.get(id));
    } finally {
      await rm(dir, { recursive: true });
    }
  }
  await host.write({ 'after.txt': `the faults ${listed.length}` });
  expect(await host.agent.backup()).toMatchObject({ type: 'committed', diverged: [] });
  const bare = await world.host({ direct: true });
  await bare.agent.restore();
  expect(await bare.read()).toEqual(await host.read());
}

export const first: Files = { 'a.txt': 'first', 'sub/b.txt': 'b'.repeat(300_000), 'c.txt': 'same' };
export const second: Files = { ...first, 'a.txt': 'second', 'd.txt': 'new' };

const inProcess = async (): Promise<Place> => {
  const server = await startS3Server();
  const { endpoint, region, accessKeyId, secretAccessKey } = server;
  let buckets = 0;
  return {
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    stallTimeoutMs: 600,
    canAge: true,
    makeBucket: async () => {
      buckets += 1;
      server.createBucket(`bucket-${buckets}`);
      return `bucket-${buckets}`;
    },
    close: () => server.close(),
  };
};
export const real = realS3();
export const places: readonly { readonly name: string; readonly open: () => Promise<Place> }[] = [
  ...(usesOwnServer ? [{ name: 'the server in this process', open: inProcess }] : []),
  ...(real === undefined
    ? []
    : [
        {
          name: real.endpoint,
          open: async (): Promise<Place> => ({
            endpoint: real.endpoint,
            region: real.region,
            credentials: { accessKeyId: real.accessKeyId, secretAccessKey: real.secretAccessKey },
            stallTimeoutMs: 1500,
            canAge: false,
            makeBucket: () => real.makeBucket(),
            close: async () => {},
          }),
        },
      ]),
];
