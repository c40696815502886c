import { expect, it } from 'vitest';
import { collect, textBody } from '../../../src/remotes/body.ts';
import { counting } from '../../../src/remotes/wrappers/counting-remote.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { prefixed } from '../../../src/remotes/wrappers/prefixed-remote.ts';
import { describeRemote } from '../../conformance/remote-conformance.ts';

const memory = () => createMemoryRemote({ now: () => Date.now() });

describeRemote('prefixed remote', async () => ({
  remote: prefixed(memory(), 'a/b'),
  close: async () => {},
}));
describeRemote('counting remote', async () => ({ remote: counting(memory()), close: async () => {} }));

it('a prefixed remote sees nothing outside its prefix', async () => {
  const whole = memory();
  const part = prefixed(whole, 'a/b');
  expect(part.location).toBe('memory:/a/b');
  expect(prefixed(whole, '')).toBe(whole);
  for (const key of ['a/b/x', 'a/bc', 'a/b/y/z', 'a']) await whole.put(key, textBody(key));
  const keys: string[] = [];
  for await (const { objects } of part.list('')) keys.push(...objects.map(({ key }) => key));
  expect(keys).toEqual(['x', 'y/z']);
  await part.remove(['x', 'bc']);
  expect(await whole.head('a/b/x')).toBeUndefined();
  expect(await whole.head('a/bc')).toBeDefined();
});

it('a counting remote counts calls, pages, keys and bytes', async () => {
  const remote = counting(memory());
  await remote.put('a', textBody('12345'));
  await collect((await remote.get('a', { range: { start: 1, end: 3 } })).body, 10);
  await remote.copy('a', 'b');
  await remote.head('a');
  for await (const _ of remote.list(''));
  await remote.remove(['a', 'b']);
  expect(remote.counts()).toEqual({
    put: 1,
    get: 1,
    head: 1,
    list: 1,
    copy: 1,
    remove: 2,
    bytesSent: 5,
    bytesReceived: 2,
  });
});
