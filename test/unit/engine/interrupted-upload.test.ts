import { expect, it } from 'vitest';
import { throwIfAborted } from '../../../src/errors.ts';
import { createMemoryStore } from '../../../src/remote/memory-store.ts';
import type { ObjectStore } from '../../../src/remote/object-store.ts';
import { makeHost } from '../../support/host.ts';

async function keysOf(remote: ObjectStore): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const page of remote.list('')) keys.push(...page.objects.map(({ key }) => key));
  return keys;
}

it('an upload that is interrupted leaves nothing in the remote', async () => {
  const memory = createMemoryStore({ now: Date.now });
  const aborter = new AbortController();
  let uploads = 0;
  const remote: ObjectStore = {
    ...memory,
    location: memory.location,
    put: async (key, body, options) => {
      const result = await memory.put(key, body, options);
      if (key.startsWith('history/') && !key.endsWith('/probe')) uploads += 1;
      if (uploads === 2) aborter.abort(new Error('enough'));
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
    expect(uploads).toBe(2);
    expect(await keysOf(memory)).toEqual(before);
    expect(await host.agent.backup()).toMatchObject({ type: 'committed' });
  } finally {
    await host.remove();
  }
});
