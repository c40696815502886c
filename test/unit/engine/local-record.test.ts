import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { RemoteState } from '../../../src/home/state.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const hour = 60 * 60 * 1000;
let host: Host;

beforeEach(async () => {
  host = await makeHost({ remote: createMemoryRemote({ now: Date.now }) });
  await host.write({ a: 'one' });
});
afterEach(() => host.remove());

/** The first snapshot, when the store's files are old enough for their times to prove something. */
async function settled(): Promise<string> {
  await host.agent.backup();
  for (;;) {
    const result = await host.agent.backup();
    const look = await host.agent.localStatus();
    if (look.isUnchanged && 'id' in result) return result.id;
  }
}

const requests = async (work: () => Promise<unknown>): Promise<number> => {
  const before = host.agent.requests();
  await work();
  return host.agent.requests() - before;
};

async function editState(edit: (state: RemoteState) => Partial<RemoteState>): Promise<void> {
  const path = join(dirname(host.store), '.store.sync-agent/state.json');
  const state = JSON.parse(await readFile(path, 'utf8')) as { remotes: Record<string, RemoteState> };
  for (const [name, each] of Object.entries(state.remotes)) {
    state.remotes[name] = { ...each, ...edit(each) };
  }
  await writeFile(path, JSON.stringify(state));
}

describe('a backup that believes the local record', () => {
  it('makes no request while nothing changed', async () => {
    const id = await settled();
    expect(
      await requests(async () => {
        expect(await host.agent.backup({ local: { minIntervalMs: 0 } })).toEqual({ type: 'unchanged', id });
      }),
    ).toBe(0);
  });

  it('makes no request soon after the last snapshot, and a snapshot later', async () => {
    const id = await settled();
    await host.write({ a: 'two' });
    expect(
      await requests(async () => {
        expect(await host.agent.backup({ local: { minIntervalMs: hour } })).toMatchObject({
          type: 'too-soon',
          id,
        });
      }),
    ).toBe(0);
    expect(await host.agent.backup({ local: { minIntervalMs: 0 } })).toMatchObject({ type: 'committed' });
  });

  it('does not believe it while it does not know what became of an upload', async () => {
    const id = await settled();
    await editState(({ fingerprint }) => ({ pending: { id, fingerprint } }));
    expect(await requests(() => host.agent.backup({ local: { minIntervalMs: 0 } }))).toBeGreaterThan(0);
  });

  it('counts a snapshot whose commit it did not hear of', async () => {
    const id = await settled();
    await editState(({ fingerprint }) => ({ parent: null, fingerprint: null, pending: { id, fingerprint } }));
    await host.write({ a: 'two' });
    expect(await host.agent.backup({ local: { minIntervalMs: hour } })).toMatchObject({
      type: 'too-soon',
      id,
    });
  });

  it('asks the remote when nothing is recorded', async () => {
    expect(await host.agent.backup({ local: { minIntervalMs: hour } })).toMatchObject({ type: 'committed' });
  });
});

describe('a remote that has become empty', () => {
  let other: Host;
  let id: string;
  beforeEach(async () => {
    id = await settled();
    // The same name, another disk behind it.
    other = await makeHost({ remote: createMemoryRemote({ now: Date.now }), root: host.root });
  });

  it('gets no backup unless that is forced, which begins anew', async () => {
    await host.write({ a: 'two' });
    for (const call of [
      () => other.agent.backup(),
      () => other.agent.backup({ dryRun: true, allowShrink: true }),
      () => other.agent.sync(),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: 'REFUSED',
        message: expect.stringContaining(id) as unknown,
        remedy: expect.stringContaining('mounted') as unknown,
      });
    }
    expect(await other.agent.list()).toEqual([]);
    expect(await other.agent.backup({ force: true })).toMatchObject({ type: 'committed', generation: 1 });
    await host.write({ a: 'three' });
    expect(await other.agent.backup()).toMatchObject({ type: 'committed', generation: 2 });
  });

  it('is told by a restore, a status and the doctor, which go on', async () => {
    const said = expect.arrayContaining([
      expect.objectContaining({ type: 'warning', message: expect.stringContaining(id) as unknown }),
    ]) as unknown;
    expect(await other.agent.restore()).toEqual({ type: 'empty-remote' });
    expect(other.events).toEqual(said);
    other.events.length = 0;
    expect(await other.agent.status()).toMatchObject({ relation: 'empty-remote', parent: id });
    expect(other.events).toEqual(said);
    const { checks } = await other.agent.doctor();
    expect(checks).toContainEqual(expect.objectContaining({ name: 'lineage', code: 'REFUSED' }));
  });

  it('is told by a restore also when the store is lost', async () => {
    await rm(host.store, { recursive: true });
    expect(await other.agent.restore()).toEqual({ type: 'empty-remote' });
    expect(other.events).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining(id) as unknown }),
    );
  });

  it('is nothing special to a store that the record does not speak of', async () => {
    await rm(host.store, { recursive: true });
    await host.write({ a: 'another store' });
    expect(await other.agent.restore()).toEqual({ type: 'empty-remote' });
    expect(await other.agent.backup()).toMatchObject({ type: 'committed', generation: 1 });
    expect(other.events.filter(({ type }) => type === 'warning')).toEqual([]);
  });
});
