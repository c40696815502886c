import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import type { AgentEvent } from '../../src/platform/events.ts';
import { createDirectoryRemote } from '../../src/remotes/directory/directory-remote.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { createS3Remote } from '../../src/remotes/s3/s3-remote.ts';
import { prefixed } from '../../src/remotes/wrappers/prefixed-remote.ts';
import { readLeases } from '../../src/log/lease-log.ts';
import { realS3 } from '../support/s3.ts';
import { startS3Server } from '../support/s3-server.ts';

interface Place {
  readonly remote: Remote;
  close(): Promise<void>;
}

/** The lease on a remote with its own clock and its own idea of races. */
function describeLease(name: string, open: () => Promise<Place>): void {
  describe(`the lease on ${name}`, () => {
    let place: Place;
    let root = '';
    let number = 0;
    beforeAll(async () => {
      place = await open();
      root = await mkdtemp(join(tmpdir(), 'sync-agent-lease-'));
    });
    afterAll(async () => {
      await place.close();
      await rm(root, { recursive: true, force: true });
    });

    const newRemote = (): Remote => prefixed(place.remote, `lease-${(number += 1)}`);
    const newHost = (remote: Remote, host: string): { agent: Agent; events: AgentEvent[] } => {
      const events: AgentEvent[] = [];
      const agent = createAgent(
        { store: join(root, host), remote: 'file:///unused', host },
        { remote, emit: (event) => events.push(event) },
      );
      return { agent, events };
    };

    it('goes to exactly one of many that want it, and from hand to hand with growing epochs', async () => {
      const remote = newRemote();
      const agents = Array.from({ length: 8 }, (_, index) => newHost(remote, `host-${index}`).agent);
      const tries = await Promise.allSettled(
        agents.map((agent) => agent.acquireLease({ ttlMs: 60_000, onTimeout: 'fail' })),
      );
      const won = tries.flatMap((each, index) =>
        each.status === 'fulfilled' ? [{ lease: each.value, agent: agents[index]! }] : [],
      );
      expect(won).toHaveLength(1);
      const [{ lease, agent } = won[0]!] = won;
      for (const each of tries)
        if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'BUSY' });

      const renewed = await agent.renewLease(lease);
      expect(renewed).toMatchObject({ type: 'renewed', lease: { epoch: lease.epoch } });
      if (renewed.type === 'renewed')
        expect(await agent.releaseLease(renewed.lease)).toEqual({ type: 'released' });
      expect(await agents[0]!.waitForLease({ waitMs: 0 })).toMatchObject({ type: 'free' });
      const next = await agents[0]!.acquireLease({ ttlMs: 60_000, onTimeout: 'fail' });
      expect(next.epoch).toBeGreaterThan(lease.epoch);
    });

    it('gives no epoch to two of many that take it over, and tells all but the last', async () => {
      const remote = newRemote();
      const hosts = Array.from({ length: 4 }, (_, index) => newHost(remote, `host-${index}`));
      const leases = await Promise.all(hosts.map(({ agent }) => agent.acquireLease({ ttlMs: 60_000 })));
      const epochs = leases.map(({ epoch }) => epoch);
      expect(new Set(epochs).size).toBe(epochs.length);
      for (const [index, { agent, events }] of hosts.entries()) {
        const isLast = epochs[index] === Math.max(...epochs);
        expect(await agent.renewLease(leases[index]!)).toMatchObject({ type: isLast ? 'renewed' : 'lost' });
        expect(events.some((event) => event.type === 'lease' && event.state === 'lost')).toBe(!isLast);
      }
    });

    it('of a dead holder is free once its time is over by the clock of the server', async () => {
      const remote = newRemote();
      const [dead, next] = [newHost(remote, 'dead'), newHost(remote, 'next')];
      const { epoch } = await dead.agent.acquireLease({ ttlMs: 1500 });
      expect(await next.agent.waitForLease({ waitMs: 60_000, onTimeout: 'fail' })).toMatchObject({
        type: 'free',
      });
      expect(next.events).toContainEqual(
        expect.objectContaining({ type: 'lease', state: 'waiting', host: 'dead', epoch }),
      );
      const lease = await next.agent.acquireLease({ ttlMs: 60_000, onTimeout: 'fail' });
      expect(lease.epoch).toBeGreaterThan(epoch);
    });

    it('leaves few objects, however often it is renewed', async () => {
      const remote = newRemote();
      const { agent } = newHost(remote, 'holder');
      let lease = await agent.acquireLease({ ttlMs: 60_000 });
      for (let count = 0; count < 20; count += 1) {
        const renewed = await agent.renewLease(lease);
        if (renewed.type === 'lost') throw new Error('lost');
        ({ lease } = renewed);
      }
      const { numbers, newest } = await readLeases(remote);
      expect(numbers.length).toBeLessThanOrEqual(8);
      expect(newest).toMatchObject({ number: lease.number, lease: { epoch: lease.epoch } });
    });
  });
}

describeLease('a memory remote', async () => ({
  remote: createMemoryRemote({ now: () => Date.now() }),
  close: async () => undefined,
}));

describeLease('a directory', async () => {
  const path = await mkdtemp(join(tmpdir(), 'sync-agent-lease-remote-'));
  return { remote: createDirectoryRemote({ path }), close: () => rm(path, { recursive: true, force: true }) };
});

describeLease('the S3 server in this process, whose clock is ten minutes off', async () => {
  const server = await startS3Server({ clockOffsetMs: 600_000 });
  server.createBucket('bucket');
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const remote = createS3Remote({
    bucket: 'bucket',
    endpoint,
    credentials: { accessKeyId, secretAccessKey },
  });
  return {
    remote,
    close: async () => {
      await remote.close();
      await server.close();
    },
  };
});

const real = realS3();
if (real === undefined) {
  describe('the lease on a real server', () => {
    it.skip('needs SYNC_AGENT_TEST_S3_ENDPOINT');
  });
} else {
  describeLease(real.endpoint, async () => {
    const { endpoint, region, accessKeyId, secretAccessKey } = real;
    const credentials = { accessKeyId, secretAccessKey };
    const remote = createS3Remote({ bucket: await real.makeBucket(), endpoint, region, credentials });
    return { remote, close: () => remote.close() };
  });
}
