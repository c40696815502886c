import { expect, it } from 'vitest';
import type { Context } from '../../../src/engine/context.ts';
import { measureUsage } from '../../../src/engine/history/usage.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { ListPage, Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';

it('status says how much the remote holds', async () => {
  const remote = createMemoryRemote({ now: Date.now });
  const host = await makeHost({ remote });
  try {
    await host.write({ a: 'one', b: 'two' });
    await host.agent.backup();
    let [objects, bytes] = [0, 0];
    for await (const page of remote.list('')) {
      for (const { size } of page.objects) {
        objects += 1;
        bytes += size;
      }
    }
    expect(objects).toBeGreaterThan(4);
    expect((await host.agent.status()).remote).toMatchObject({ usage: { objects, bytes, isWhole: true } });
  } finally {
    await host.remove();
  }
});

it('a remote with very many objects is not listed to its end', async () => {
  let pages = 0;
  async function* list(): AsyncGenerator<ListPage> {
    for (;;) {
      pages += 1;
      yield { objects: [{ key: 'k', size: 2, lastModified: new Date(0) }], serverTime: new Date(0) };
    }
  }
  const remote: Pick<Remote, 'list'> = { list };
  const context = { remote, signal: undefined } as unknown as Context;
  expect(await measureUsage(context)).toEqual({ objects: 10, bytes: 20, isWhole: false });
  expect(pages).toBe(11);
});
