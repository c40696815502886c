import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let clock: ReturnType<typeof shiftableClock>;
let remote: ReturnType<typeof createMemoryRemote>;
let hosts: Host[];
let a: Host;
let b: Host;
/** Tips that hosts `a` and `b` made beside each other; `newer` is b's. */
let older: string;
let newer: string;

beforeEach(async () => {
  clock = shiftableClock();
  remote = createMemoryRemote({ now: () => clock.now() });
  hosts = [];
  [a, b] = [await host(), await host()];
  await a.write({ f: 'first' });
  await committed(a);
  await b.agent.restore();
  older = await written(a, 'by a');
  await rested(a);
  newer = await written(b, 'by b, and longer');
});
afterEach(async () => {
  for (const each of hosts) await each.remove();
});

async function host(): Promise<Host> {
  const made = await makeHost({ remote, clock });
  hosts.push(made);
  return made;
}

async function committed(on: Host): Promise<string> {
  const result = await on.agent.backup();
  if (result.type !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  return result.id;
}

async function written(on: Host, f: string): Promise<string> {
  await on.write({ f });
  return committed(on);
}

/** Until the store's files are old enough for their times to prove something. */
async function rested(on: Host): Promise<void> {
  while (!(await on.agent.localStatus()).isUnchanged) {
    expect(await on.agent.backup()).toMatchObject({ type: 'unchanged' });
  }
}

const requests = async (on: Host, work: () => Promise<unknown>): Promise<number> => {
  const before = on.agent.requests();
  await work();
  return on.agent.requests() - before;
};

const quietly = { local: { minIntervalMs: 0 } };

async function expectSettled(chosen: string, parent: string, f: string): Promise<void> {
  expect(await a.agent.status()).toMatchObject({ newest: { id: chosen, parent }, tips: [chosen] });
  const bare = await host();
  expect(await bare.agent.restore()).toMatchObject({ type: 'restored', id: chosen });
  expect(await bare.read()).toEqual({ f });
}

describe('a tip that is chosen over the newest', () => {
  it('where it already is the store, is settled by the next backup without a write', async () => {
    expect(await a.agent.restore()).toMatchObject({ type: 'diverged' });
    expect(await a.agent.restore({ snapshot: older })).toEqual({ type: 'equal', id: older });
    expect(await a.agent.status()).toMatchObject({ relation: 'chosen' });
    expect(await a.agent.restore()).toMatchObject({ type: 'ahead' });
    const result = await a.agent.backup();
    expect(result).toMatchObject({ type: 'committed', parent: older, uploadBytes: 0, diverged: [] });
    if (result.type === 'committed') await expectSettled(result.id, older, 'by a');
  });

  it('where it takes the place of the store, is settled by the next backup without a write', async () => {
    await b.agent.restore({ snapshot: older });
    const result = await b.agent.backup(quietly);
    expect(result).toMatchObject({ type: 'committed', parent: older, diverged: [] });
    if (result.type === 'committed') await expectSettled(result.id, older, 'by a');
  });

  it('is settled by a backup that believes the local record, which then rests without a request', async () => {
    await a.agent.restore({ snapshot: older });
    const result = await a.agent.backup(quietly);
    expect(result).toMatchObject({ type: 'committed', parent: older });
    await rested(a);
    expect(await requests(a, () => a.agent.backup(quietly))).toBe(0);
    expect(await a.agent.backup()).toMatchObject({ type: 'unchanged' });
  });

  it('is settled by a sync as well', async () => {
    await a.agent.restore({ snapshot: older });
    expect(await a.agent.sync()).toMatchObject({ type: 'committed', parent: older, diverged: [] });
  });

  it('is not chosen by a dry run', async () => {
    await a.agent.restore({ snapshot: older, dryRun: true });
    expect(await a.agent.backup()).toMatchObject({ type: 'unchanged' });
    await a.agent.restore({ snapshot: older });
    expect(await a.agent.backup({ dryRun: true })).toMatchObject({ type: 'planned', uploadBytes: 0 });
    expect((await a.agent.status()).tips).toEqual([older, newer]);
  });

  it('is not committed over a snapshot that was made since, of which nobody decided', async () => {
    await a.agent.restore({ snapshot: older });
    const since = await written(b, 'by b, and longer still');
    expect(await a.agent.backup()).toEqual({ type: 'unchanged', id: older });
    expect(await a.agent.status()).toMatchObject({ relation: 'diverged', newest: { id: since } });
  });
});

describe('the newest tip, taken over by the host that gives way', () => {
  it.each([
    ['by name', () => a.agent.restore({ snapshot: newer })],
    ['with --force', () => a.agent.restore({ force: true })],
  ])('%s is not committed again, and costs no more requests', async (_, takeOver) => {
    await takeOver();
    expect(await a.agent.backup()).toEqual({ type: 'unchanged', id: newer });
    await rested(a);
    expect(await requests(a, () => a.agent.backup(quietly))).toBe(0);
    expect(await a.agent.restore({ snapshot: newer })).toMatchObject({ type: 'equal' });
    expect(await requests(a, () => a.agent.backup(quietly))).toBe(0);
    await b.write({ f: 'by b, which goes on' });
    expect(await b.agent.backup()).toMatchObject({ type: 'committed', parent: newer, diverged: [] });
  });

  it('settles the other by the next backup after a write', async () => {
    await b.agent.restore({ snapshot: newer });
    const id = await written(b, 'by b, which goes on');
    await expectSettled(id, newer, 'by b, which goes on');
  });
});

describe('prune --resolve', () => {
  it('takes the unique beginning of an id, and ~N', async () => {
    expect(await a.agent.prune({ resolve: [older.slice(0, -2)] })).toMatchObject({ resolved: [older] });
    expect((await a.agent.status()).tips).toEqual([newer]);
    newer = await written(a, 'by a, once more');
    expect((await a.agent.status()).tips).toHaveLength(2);
    await a.agent.prune({ resolve: ['~1'] });
    expect((await a.agent.status()).tips).toEqual([newer]);
  });

  it('refuses the newest, which would stay a tip, and says what to do', async () => {
    for (const name of ['latest', '~0', newer, newer.slice(0, -1)]) {
      await expect(a.agent.prune({ resolve: [older, name] })).rejects.toMatchObject({
        code: 'USAGE',
        remedy: expect.stringContaining('restore --snapshot') as string,
      });
    }
    expect((await a.agent.status()).tips).toEqual([older, newer]);
  });

  it('refuses what is not there', async () => {
    await expect(a.agent.prune({ resolve: ['~9'] })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

it('an older snapshot restored by name is what a bare machine restores, once it is backed up without a write', async () => {
  await b.agent.restore({ snapshot: '~2' });
  const id = await committed(b);
  const bare = await host();
  expect(await bare.agent.restore()).toMatchObject({ id });
  expect(await bare.read()).toEqual({ f: 'first' });
});
