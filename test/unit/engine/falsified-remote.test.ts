import { expect, it } from 'vitest';
import { falsifiedRemote, readOnlyRemote } from '../../../src/engine/drill/falsified-remote.ts';
import type { FalseObject } from '../../../src/engine/drill/falsified-remote.ts';
import { bytesBody, collect } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { ByteRange, Remote } from '../../../src/remotes/remote.ts';

async function falsified(found: FalseObject): Promise<Remote> {
  const remote = createMemoryRemote({ now: Date.now });
  await remote.put('a', bytesBody(Buffer.from('0123456789')));
  await remote.put('b', bytesBody(Buffer.from('other')));
  return falsifiedRemote(remote, new Map([['a', found]]));
}
const read = async (remote: Remote, range?: ByteRange): Promise<string> => {
  const { body, size } = await remote.get('a', range === undefined ? {} : { range });
  return (await collect(body, 100, size)).toString();
};
const sizes = async (remote: Remote): Promise<unknown> => {
  const listed: [string, number][] = [];
  for await (const { objects } of remote.list('')) listed.push(...objects.map(({ key, size }) => [key, size] as [string, number])); // prettier-ignore
  return { listed, head: (await remote.head('a'))?.size };
};

it('an object that is missing cannot be read, and is in no listing', async () => {
  const remote = await falsified({ type: 'missing' });
  await expect(read(remote)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(await sizes(remote)).toEqual({ listed: [['b', 5]], head: undefined });
});

it('one that is truncated ends early, whole and by ranges', async () => {
  const remote = await falsified({ type: 'truncated', size: 4 });
  expect(await read(remote)).toBe('0123');
  expect(await read(remote, { start: 2, end: 9 })).toBe('23');
  await expect(read(remote, { start: 4, end: 9 })).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
  expect(await sizes(remote)).toEqual({ listed: [['a', 4], ['b', 5]], head: 4 }); // prettier-ignore
});

it('of one that is flipped a single bit differs, whole and by ranges', async () => {
  const remote = await falsified({ type: 'flipped', position: 6 });
  expect(await read(remote)).toBe('0123457789');
  expect(await read(remote, { start: 5, end: 8 })).toBe('577');
  expect(await read(remote, { start: 7, end: 10 })).toBe('789');
  expect(await sizes(remote)).toEqual({ listed: [['a', 10], ['b', 5]], head: 10 }); // prettier-ignore
});

it('one that is swapped has the bytes and the size of another', async () => {
  const remote = await falsified({ type: 'swapped', key: 'b' });
  expect(await read(remote)).toBe('other');
  expect(await sizes(remote)).toEqual({ listed: [['a', 5], ['b', 5]], head: 5 }); // prettier-ignore
});

it('nothing can be written through such a view, nor through one that only reads', async () => {
  const remote = createMemoryRemote({ now: Date.now });
  await remote.put('a', bytesBody(Buffer.from('x')));
  for (const view of [readOnlyRemote(remote), falsifiedRemote(remote, new Map())]) {
    await expect(view.put('b', bytesBody(Buffer.from('x')))).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(view.copy('a', 'b')).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(view.remove(['a'])).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(view.sweepUploads('', new Date())).rejects.toMatchObject({ code: 'INTERNAL' });
    await view.close();
  }
  expect(await remote.head('b')).toBeUndefined();
  expect(await remote.head('a')).toMatchObject({ size: 1 });
});
