import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let host: Host;
beforeEach(async () => {
  host = await makeHost({ remote: createMemoryRemote({ now: Date.now }) });
});
afterEach(() => host.remove());

async function backUp(text: string, label?: string): Promise<string> {
  await host.write({ a: text });
  const result = await host.agent.backup(label === undefined ? {} : { label });
  if (result.type !== 'committed') throw new Error(result.type);
  return result.id;
}

describe('a label', () => {
  it('names its snapshot wherever one is named, on every host, also after later commits', async () => {
    const id = await backUp('one', 'before the move');
    const newest = await backUp('two');
    await host.agent.pin(newest);
    expect(await host.agent.show('before the move')).toMatchObject({ id, label: 'before the move' });
    expect(await host.agent.list()).toMatchObject([{ id, label: 'before the move' }, { id: newest }]);
    expect((await host.agent.list())[1]).not.toHaveProperty('label');
    expect(await host.agent.diff('before the move', 'latest')).toMatchObject({ from: id, to: newest });
    expect(await host.agent.verify({ snapshot: 'before the move' })).toMatchObject({ snapshots: [{ id }] });
    expect(await host.agent.pin('before the move')).toMatchObject({ id });
    expect(await host.agent.restore({ snapshot: 'before the move' })).toMatchObject({ type: 'restored', id });
    expect(await host.read()).toEqual({ a: 'one' });
  });

  it('makes a snapshot of an unchanged store, once', async () => {
    const id = await backUp('one');
    const labelled = await host.agent.backup({ label: 'release 1.2' });
    expect(labelled).toMatchObject({ type: 'committed', parent: id, uploadBytes: 0 });
    expect(await host.agent.backup({ label: 'release 1.2' })).toMatchObject({ type: 'unchanged' });
    expect(await host.agent.backup()).toMatchObject({ type: 'unchanged' });
    expect(await host.agent.list()).toHaveLength(2);
  });

  it('means the newest of several snapshots that have it', async () => {
    await backUp('one', 'nightly');
    const newest = await backUp('two', 'nightly');
    await backUp('three');
    expect(await host.agent.show('nightly')).toMatchObject({ id: newest });
  });

  it('is not in the way of ids', async () => {
    const id = await backUp('one', 'x');
    expect(await host.agent.show(id.slice(0, 15))).toMatchObject({ id });
    await expect(host.agent.show('y')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it.each([
    '',
    ' ',
    ' x',
    'latest',
    '~1',
    '-x',
    'a/b',
    'a\\b',
    'a\nb',
    'a\u0000b',
    'a\u202Eb',
    'x'.repeat(101),
    '2',
    '2026',
    '2026-11-21T11',
    '2026-11-21T11-30-05.123Z-7f3a9c2e',
  ])('%j is refused before anything is done', async (label) => {
    await host.write({ a: 'one' });
    await expect(host.agent.backup({ label })).rejects.toMatchObject({ code: 'USAGE' });
    expect(await host.agent.list()).toEqual([]);
  });

  it('and a minimum interval are refused together', async () => {
    await host.write({ a: 'one' });
    await expect(host.agent.backup({ label: 'x', minIntervalMs: 1 })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });

  it.each(['1.2', 'v2026-11-21', 'vor dem Umzug', 'naïve', '2026-11-21 evening', 'x'.repeat(100)])(
    '%j will do',
    async (label) => {
      const id = await backUp('one', label);
      expect(await host.agent.show(label)).toMatchObject({ id });
    },
  );
});
