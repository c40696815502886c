import { describe, expect, it } from 'vitest';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { lazy } from '../../../src/remotes/wrappers/lazy-remote.ts';

describe('a lazy remote', () => {
  it('is opened once, by the first call', async () => {
    let opened = 0;
    const remote = lazy('memory://', async () => {
      opened += 1;
      return createMemoryRemote({ now: Date.now });
    });
    expect(opened).toBe(0);
    await Promise.all([remote.put('a', textBody('1')), remote.put('b', textBody('2'))]);
    const keys: string[] = [];
    for await (const page of remote.list('')) keys.push(...page.objects.map(({ key }) => key));
    expect(keys).toEqual(['a', 'b']);
    expect(await remote.remarks?.()).toEqual([]);
    expect(opened).toBe(1);
  });

  it('is not opened to be closed', async () => {
    const remote = lazy('memory://', async () => {
      throw new Error('opened');
    });
    await remote.close();
    await expect(remote.head('a')).rejects.toThrow('opened');
  });
});
