import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formats as released, formatsOf } from '../../../src/formats/registry.ts';
import type { Formats } from '../../../src/formats/registry.ts';
import { plainFormat } from '../../../src/formats/plain/plain-format.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { loseFile, objectOf, packedFormats } from '../../support/format-cases.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { packedFormat } from '../../support/packed-format.ts';

const hour = 3_600_000;

let remote: Remote;
let clock: ReturnType<typeof shiftableClock>;
let hosts: Host[];

beforeEach(() => {
  clock = shiftableClock();
  remote = createMemoryRemote({ now: clock.now });
  hosts = [];
});

afterEach(async () => {
  for (const each of hosts) await each.remove();
});

async function host(formats: Formats, { root, keepLast = 24 }: { root?: string; keepLast?: number } = {}) {
  const settings = { history: 'linked', graceMs: hour, keepLast } as const;
  const made = await makeHost({ remote, clock, formats, settings, ...(root === undefined ? {} : { root }) });
  hosts.push(made);
  return made;
}

async function committed(on: Host): Promise<string> {
  clock.forward(2 * hour);
  const result = await on.agent.backup();
  if (result.type !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  return result.id;
}

async function keys(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of remote.list(prefix)) found.push(...page.objects.map((object) => object.key));
  return found;
}

const isSound = async ({ agent }: Host): Promise<boolean> =>
  (await agent.verify({ all: true, readData: true })).isSound;

describe('a remote with snapshots of two formats', () => {
  it('restores each of them, and takes over nothing from one into the other', async () => {
    const plain = await host(released);
    await plain.write({ big: 'unchanged', x: '1' });
    const first = await committed(plain);
    const packed = await host(packedFormats, { root: plain.root });
    await packed.write({ x: '2' });
    const second = await committed(packed);
    const shown = await packed.agent.show(second);
    expect(shown.format).toBe(2);
    expect(objectOf(packedFormats, shown, 'big')).toContain(second);
    const back = await host(formatsOf(plainFormat, packedFormat), { root: plain.root });
    await back.write({ x: '3' });
    const third = await committed(back);

    const reader = await host(packedFormats);
    for (const [snapshot, x] of [
      [first, '1'],
      [second, '2'],
      [third, '3'],
    ] as const) {
      expect(await reader.agent.restore({ snapshot })).toMatchObject({ id: snapshot });
      expect(await reader.read()).toEqual({ big: 'unchanged', x });
    }
    expect(await isSound(reader)).toBe(true);
  });

  it('rotates those of one format while the other goes on, and leaves nothing of them', async () => {
    const plain = await host(released, { keepLast: 1 });
    await plain.write({ big: 'unchanged', x: '1' });
    const first = await committed(plain);
    const packed = await host(packedFormats, { root: plain.root, keepLast: 1 });
    await packed.write({ x: '2' });
    const second = await committed(packed);
    expect(await keys(`history/${first}/`)).toEqual([]);
    await packed.write({ x: '3' });
    await committed(packed);
    expect(await keys(`history/${second}/`)).toEqual([`history/${second}/.sync-agent/pack`]);
    expect(await isSound(packed)).toBe(true);
    await packed.write({ big: 'rewritten', x: '4' });
    await committed(packed);
    expect(await keys(`history/${second}/`)).toEqual([]);
    expect(await isSound(packed)).toBe(true);
  });

  it('keeps the current files as the plain format left them', async () => {
    const plain = await host(released);
    await plain.write({ x: '1' });
    await committed(plain);
    const published = await keys('manifest.json');
    const packed = await host(packedFormats, { root: plain.root });
    await packed.write({ x: 'longer' });
    await committed(packed);
    expect(await keys('manifest.json')).toEqual(published);
    expect((await remote.head('x'))?.size).toBe(1);
  });
});

describe('a program that does not know a format', () => {
  it.each<[string, (on: Host) => Promise<unknown>]>([
    ['restore', ({ agent }) => agent.restore()],
    ['backup', ({ agent }) => agent.backup()],
    ['list', ({ agent }) => agent.list()],
    ['verify', ({ agent }) => agent.verify()],
    ['prune', ({ agent }) => agent.prune()],
    ['repair-remote', ({ agent }) => agent.repairRemote()],
  ])('says so in %s, names it, and writes nothing', async (_, work) => {
    const packed = await host(packedFormats);
    await packed.write({ x: '1' });
    await committed(packed);
    const before = await keys('');
    const old = await host(released);
    await old.write({ x: 'other' });
    await expect(work(old)).rejects.toMatchObject({
      code: 'TOO_NEW',
      exitCode: 11,
      message: expect.stringContaining('format 2 was written by a newer version') as string,
      remedy: 'Install the newest sync-agent on this host',
    });
    expect(await keys('')).toEqual(before);
  });
});

describe('a backup in a format that shares objects', () => {
  it('packs again what was in a pack that is lost, and says which', async () => {
    const a = await host(packedFormats);
    await a.write({ big: 'unchanged', other: 'the same', x: '1' });
    const first = await committed(a);
    await a.write({ x: '2' });
    await committed(a);
    const lost = await loseFile(remote, packedFormats, { snapshot: await a.agent.show(first), path: 'big' });
    await a.write({ x: '3' });
    clock.forward(2 * hour);
    expect(await a.agent.backup()).toMatchObject({ type: 'committed', lost: [lost] });
    const b = await host(packedFormats);
    expect(await b.agent.restore()).toMatchObject({ type: 'restored', skipped: [] });
    expect(await b.read()).toEqual({ big: 'unchanged', other: 'the same', x: '3' });
  });

  it('is not taken for plain files by a repair that finds nothing else', async () => {
    const a = await host(packedFormats);
    await a.write({ x: '1' });
    const id = await committed(a);
    await remote.remove([...(await keys('commits/')), ...(await keys('history/.commits/'))]);
    for (const formats of [released, packedFormats]) {
      const other = await host(formats);
      await expect(other.agent.repairRemote()).rejects.toMatchObject({
        code: 'NOT_FOUND',
        remedy: expect.stringContaining(
          `${id}: the path of "history/${id}/.sync-agent/pack" begins`,
        ) as string,
      });
    }
  });

  it('is repaired from the copies of its commits', async () => {
    const a = await host(packedFormats);
    await a.write({ x: '1' });
    const id = await committed(a);
    await remote.remove(await keys('commits/'));
    expect(await a.agent.repairRemote()).toMatchObject({ snapshots: [{ id, problems: [] }] });
    const b = await host(packedFormats);
    expect(await b.agent.restore()).toMatchObject({ id });
    expect(await b.read()).toEqual({ x: '1' });
  });
});
