import { expect, it } from 'vitest';
import { collect, textBody } from '../../../src/remotes/body.ts';
import { counting } from '../../../src/remotes/wrappers/counting-store.ts';
import { createMemoryStore } from '../../../src/remotes/memory/memory-store.ts';
import { prefixed } from '../../../src/remotes/wrappers/prefixed-store.ts';
import { describeObjectStore } from '../../conformance/object-store.ts';

const memory = () => createMemoryStore({ now: () => Date.now() });

describeObjectStore('prefixed store', async () => ({
  store: prefixed(memory(), 'a/b'),
  close: async () => {},
}));
describeObjectStore('counting store', async () => ({ store: counting(memory()), close: async () => {} }));

it('a prefixed store sees nothing outside its prefix', async () => {
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

it('a counting store counts calls, pages, keys and bytes', async () => {
  const store = counting(memory());
  await store.put('a', textBody('12345'));
  await collect((await store.get('a', { range: { start: 1, end: 3 } })).body, 10);
  await store.copy('a', 'b');
  await store.head('a');
  for await (const _ of store.list(''));
  await store.remove(['a', 'b']);
  expect(store.counts()).toEqual({
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
