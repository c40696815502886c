import { afterEach, expect, it } from 'vitest';
import { readLog } from '../../../src/log/commit-log.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { collect, textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { logOf } from '../../support/log-of.ts';
import { passThrough } from '../../support/race.ts';

const graceMs = 60_000;
const clock = shiftableClock();
const hosts: Host[] = [];
let remote = createMemoryRemote({ now: clock.now });
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.remove();
  remote = createMemoryRemote({ now: clock.now });
});

async function hostWith(f: string, seen: Remote = remote): Promise<Host> {
  const host = await makeHost({ remote: seen, clock, settings: { graceMs, keepLast: 1 } });
  hosts.push(host);
  await host.write({ f });
  return host;
}

async function textOf(key: string): Promise<string> {
  return (await collect((await remote.get(key)).body, 1_000_000)).toString('utf8');
}

/** What people see, and what the log says. */
async function shown() {
  const newest = (await readLog(logOf(remote))).snapshots.at(-1)?.entry.id;
  const { id } = JSON.parse(await textOf('manifest.json')) as { id: string };
  return { f: await textOf('f'), isNewest: id === newest };
}

/** The remote, as a host sees it whose look at the log after its commit waits for `beforeLook`, and its copy of the file for `beforeCopy`. */
function watched({
  beforeLook,
  beforeCopy = async () => undefined,
}: {
  readonly beforeLook: () => Promise<unknown>;
  readonly beforeCopy?: (from: string) => Promise<unknown>;
}): Remote {
  let isCommitted = false;
  return {
    ...passThrough(remote),
    put: async (key, body, options) => {
      const answer = await remote.put(key, body, options);
      isCommitted ||= key.startsWith('commits/');
      return answer;
    },
    copy: async (from, to, options) => {
      if (to === 'f') await beforeCopy(from);
      await remote.copy(from, to, options);
    },
    list: async function* (prefix, options) {
      if (isCommitted && prefix === 'commits/') await beforeLook();
      yield* remote.list(prefix, options);
    },
  };
}

it('begins with the commit, and ends only once the log has the snapshot as the newest', async () => {
  const order: string[] = [];
  const host = await hostWith('one', {
    ...passThrough(remote),
    copy: async (from, to, options) => {
      order.push(`copy to ${to}`);
      await remote.copy(from, to, options);
    },
    put: async (key, body, options) => {
      if (key === 'manifest.json') order.push(key);
      const answer = await remote.put(key, body, options);
      if (key.startsWith('commits/')) order.push('committed');
      return answer;
    },
    list: async function* (prefix, options) {
      yield* remote.list(prefix, options);
      if (order.length === 0 || prefix !== 'commits/') return;
      for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
      order.push('log read');
    },
  });
  await host.agent.backup();
  expect(order).toEqual(['committed', 'copy to f', 'log read', 'manifest.json']);
});

it('leaves what another host shows that commits before the log is read again', async () => {
  const other = await hostWith('of the other');
  let others: Promise<unknown> | undefined;
  const commits = (): Promise<unknown> => (others ??= other.agent.backup());
  // The copy takes so long that the other host has shown its own before.
  const host = await hostWith('of the first', watched({ beforeLook: commits, beforeCopy: commits }));
  expect(await host.agent.backup()).toMatchObject({ type: 'committed' });
  expect(await others).toMatchObject({ type: 'committed', generation: 2 });
  expect(await shown()).toEqual({ f: 'of the other', isNewest: true });
});

it('leaves what another host shows if the commit is void, and writes no copy of that commit', async () => {
  const other = await hostWith('first');
  await other.agent.backup();
  const asleep = await hostWith('', {
    ...passThrough(remote),
    put: async (key, body, options) => {
      if (key === 'commits/0000000002.json') {
        for (const f of ['second', 'the third', 'the fourth one']) {
          clock.forward(2 * graceMs);
          await other.write({ f });
          await other.agent.backup();
        }
        expect(await remote.head(key)).toBeUndefined();
      }
      return remote.put(key, body, options);
    },
  });
  await asleep.agent.restore({ force: true });
  await asleep.write({ f: 'from a host that slept' });
  await expect(asleep.agent.backup()).rejects.toMatchObject({
    code: 'BUSY',
    message: expect.stringContaining('was stopped while others went on') as string,
  });
  expect(await shown()).toEqual({ f: 'the fourth one', isNewest: true });
  expect(await remote.head('history/.commits/0000000002.json')).toBeUndefined();
});

it('shows a third host that commits while the second one is shown again', async () => {
  const [second, third] = [await hostWith('of the second'), await hostWith('of the third')];
  let seconds: Promise<unknown> | undefined;
  let thirds: Promise<unknown> | undefined;
  const secondCommits = (): Promise<unknown> => (seconds ??= second.agent.backup());
  const host = await hostWith(
    'of the first',
    watched({
      beforeLook: secondCommits,
      beforeCopy: async (from) => {
        await secondCommits();
        // What is copied now is the second's.
        if (!from.includes(await firstId())) await (thirds ??= third.agent.backup());
      },
    }),
  );
  const firstId = async (): Promise<string> =>
    (await readLog(logOf(remote))).head?.log.find(({ generation }) => generation === 1)?.id ?? 'none';
  await host.agent.backup();
  expect(await thirds).toMatchObject({ type: 'committed', generation: 3 });
  expect(await shown()).toEqual({ f: 'of the third', isNewest: true });
});

it('goes on if the log cannot be read after the commit, and nothing is deleted then', async () => {
  const other = await hostWith('first');
  await other.agent.backup();
  await remote.put('history/2020-01-01T00-00-00.000Z-00000000/f', textBody('garbage'));
  clock.forward(2 * graceMs);
  let looks = 0;
  const beforeLook = async (): Promise<void> => {
    // The first look after the commit fails, and no other.
    if ((looks += 1) === 1)
      throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot list: the connection was reset');
  };
  const host = await hostWith('', watched({ beforeLook }));
  await host.agent.restore({ force: true });
  await host.write({ f: 'second' });
  expect(await host.agent.backup()).toMatchObject({ type: 'committed', generation: 2 });
  expect(host.events).toContainEqual(
    expect.objectContaining({ type: 'warning', code: 'REMOTE_UNREACHABLE' }),
  );
  expect(await shown()).toEqual({ f: 'second', isNewest: true });
  expect(await remote.head('history/2020-01-01T00-00-00.000Z-00000000/f')).toBeDefined();
});
