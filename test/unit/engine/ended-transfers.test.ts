import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { SyncAgentError, throwIfAborted } from '../../../src/platform/errors.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';

async function keysOf(remote: Remote): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const page of remote.list('')) keys.push(...page.objects.map(({ key }) => key));
  return keys;
}

it('an upload that is interrupted leaves nothing in the remote', async () => {
  const memory = createMemoryRemote({ now: Date.now });
  const aborter = new AbortController();
  let uploads = 0;
  const remote: Remote = {
    ...memory,
    location: memory.location,
    put: async (key, body, options) => {
      const result = await memory.put(key, body, options);
      if (key.startsWith('history/2') && !key.endsWith('/probe')) uploads += 1;
      if (uploads === 3) aborter.abort(new Error('enough'));
      throwIfAborted(options?.signal, 'Putting');
      return result;
    },
  };
  const host = await makeHost({ remote, settings: { concurrency: 1 } });
  try {
    await host.write({ a: 'one' });
    await host.agent.backup();
    const before = await keysOf(memory);
    await host.write({ a: 'two', b: 'three', c: 'four' });
    uploads = 0;
    await expect(host.agent.backup({ signal: aborter.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    expect(uploads).toBe(3);
    expect(await keysOf(memory)).toEqual(before);
    expect(await host.agent.backup()).toMatchObject({ type: 'committed' });
  } finally {
    await host.remove();
  }
});

/** Once all of them are under way the one of `b` fails; the others end some time after they were told to. */
function failingTransfers(of: number) {
  const arrived = new AbortController();
  let begun = 0;
  let underWay = 0;
  const transfer = async (key: string, signal: AbortSignal | undefined): Promise<never> => {
    underWay += 1;
    begun += 1;
    if (begun === of) arrived.abort();
    else await once(arrived.signal, 'abort');
    try {
      if (key.endsWith('/b')) throw new SyncAgentError('DENIED', `Cannot transfer "${key}": by this test`);
      if (signal?.aborted === false) await once(signal, 'abort');
      await delay(200);
      throw new SyncAgentError('INTERRUPTED', `Cannot transfer "${key}": told to stop`);
    } finally {
      underWay -= 1;
    }
  };
  return { transfer, underWay: () => underWay, begun: () => begun };
}

it.each(['backup', 'restore'] as const)(
  'a %s that fails has nothing at work any more, and names what failed first',
  async (command) => {
    const memory = createMemoryRemote({ now: Date.now });
    const transfers = failingTransfers(3);
    const isFile = (key: string): boolean => /^history\/.*\/[abc]$/.test(key);
    const remote: Remote = {
      ...memory,
      location: memory.location,
      put: (key, body, options) =>
        isFile(key) ? transfers.transfer(key, options?.signal) : memory.put(key, body, options),
      get: (key, options) =>
        isFile(key) ? transfers.transfer(key, options?.signal) : memory.get(key, options),
    };
    const [sound, failing] = [await makeHost({ remote: memory }), await makeHost({ remote })];
    try {
      const files = { a: 'one', b: 'two', c: 'three' };
      if (command === 'restore') await sound.write(files);
      if (command === 'restore') await sound.agent.backup();
      else await failing.write(files);
      await expect(failing.agent[command]()).rejects.toMatchObject({ code: 'DENIED' });
      expect(transfers.begun()).toBe(3);
      expect(transfers.underWay()).toBe(0);
    } finally {
      await sound.remove();
      await failing.remove();
    }
  },
);
