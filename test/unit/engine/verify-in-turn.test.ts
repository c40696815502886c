import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VerifyOptions, VerifyReport } from '../../../src/engine/history/verify.ts';
import { verifyInTurn } from '../../../src/engine/history/verify-in-turn.ts';
import { listSnapshots } from '../../../src/engine/history/history.ts';
import { manifestIfReadable, readRemote } from '../../../src/engine/remote-log.ts';
import { openStoreAccess } from '../../../src/in-process/store-access.ts';
import { formats } from '../../../src/formats/registry.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { bytesBody, collect } from '../../../src/remotes/body.ts';
import { formatCases, loseFile, objectOf } from '../../support/format-cases.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

const minute = 60_000;
const fileBytes = 1000;
let clock = shiftableClock();
let bare: Remote;
let host: Host;
/** Keys of content that were read. */
let read: string[] = [];
let onRead: (key: string) => void = () => undefined;
const namesOf = (keys: readonly string[]): readonly string[] =>
  keys.map((key) => key.split('/').slice(2).join('/'));

async function make(options: Partial<HostOptions> = {}): Promise<void> {
  host = await makeHost({
    clock,
    remote: {
      ...passThrough(bare),
      get: (key, given) => {
        if (key.startsWith('history/2')) {
          read.push(key);
          onRead(key);
        }
        return bare.get(key, given);
      },
    },
    ...options,
    settings: { concurrency: 1, ...options.settings },
  });
}
beforeEach(async () => {
  clock = shiftableClock();
  bare = createMemoryRemote({ now: clock.now });
  read = [];
  onRead = () => undefined;
  await make();
});
afterEach(() => host.remove());

const text = (name: string): string => name.padEnd(fileBytes, '.');
async function backUp(...names: readonly string[]): Promise<string> {
  await host.write(Object.fromEntries(names.map((name) => [name, text(name)])));
  const result = await host.agent.backup();
  clock.forward(minute);
  return result.type === 'committed' ? result.id : '';
}
/** One run, a minute later; and what it read. */
async function run(options: VerifyOptions): Promise<{ report: VerifyReport; files: readonly string[] }> {
  read = [];
  const report = await host.agent.verify({ readData: true, ...options });
  clock.forward(minute);
  return { report, files: namesOf(read) };
}
const record = (): { verified: Record<string, number> } => {
  const home = join(host.root, '.store.sync-agent');
  const name = readdirSync(home).find((each) => each.startsWith('verified-')) ?? '';
  return JSON.parse(readFileSync(join(home, name), 'utf8')) as { verified: Record<string, number> };
};

describe('verify with a budget of bytes', () => {
  it('covers everything by repeated runs, and then begins with what was read longest ago', async () => {
    await backUp('a', 'b', 'c', 'd', 'e', 'f', 'g');
    const files: (readonly string[])[] = [];
    const covered: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      const each = await run({ budgetBytes: 3 * fileBytes });
      files.push(each.files);
      covered.push(each.report.coverage?.verifiedFiles ?? 0);
      expect(each.report).toMatchObject({ isSound: true, readData: true });
    }
    expect(files).toEqual([
      ['a', 'b', 'c'],
      ['d', 'e', 'f'],
      ['g', 'a', 'b'],
      ['c', 'd', 'e'],
    ]);
    expect(covered).toEqual([3, 6, 7, 7]);
  });

  it('says how much is covered, and how old the oldest verification is', async () => {
    await backUp('a', 'b');
    const startedAt = Math.floor(clock.now() / 1000);
    await run({ budgetBytes: 1 });
    const { report } = await run({ budgetBytes: 1 });
    const { oldestVerifiedAt, ...counts } = report.coverage ?? {};
    expect(counts).toEqual({ files: 2, bytes: 2 * fileBytes, verifiedFiles: 2, verifiedBytes: 2 * fileBytes, readFiles: 1, readBytes: fileBytes }); // prettier-ignore
    expect(Math.abs(Date.parse(oldestVerifiedAt ?? '') / 1000 - startedAt)).toBeLessThan(30);
  });

  it('reads a file to its end, however large it is, and at least one', async () => {
    await backUp('a', 'b');
    expect((await run({ budgetBytes: 1 })).files).toEqual(['a']);
    expect((await run({ budgetMs: 0 })).files).toEqual(['b']);
  });

  it('takes a new snapshot first, and forgets one that is gone', async () => {
    await make({ root: host.root, settings: { keepLast: 1, graceMs: 0 } });
    await backUp('a', 'b');
    await run({ budgetBytes: 2 * fileBytes });
    expect(Object.keys(record().verified)).toHaveLength(2);
    await backUp('c');
    const { files, report } = await run({ budgetBytes: 2 * fileBytes });
    expect(files).toEqual(['a', 'b']);
    expect(report.coverage).toMatchObject({ files: 3, verifiedFiles: 2 });
    expect(Object.keys(record().verified)).toHaveLength(2);
  });

  it('finds damage in its turn, again in the next run, and no more once it is mended', async () => {
    await backUp('a', 'b', 'c');
    const key = `history/${(await host.agent.list())[0]?.id}/b`;
    await bare.put(key, bytesBody(Buffer.from(text('x'))));
    const first = await run({ budgetBytes: fileBytes });
    expect(first.report.isSound).toBe(true);
    for (let i = 0; i < 2; i += 1) {
      const { report, files } = await run({ budgetBytes: 2 * fileBytes });
      expect(report.isSound).toBe(false);
      expect(report.snapshots[0]?.problems).toEqual([expect.stringContaining(`object "${key}" is damaged`)]);
      expect(files).toContain('b');
      expect(report.coverage?.verifiedFiles).toBe(2);
    }
    await bare.put(key, bytesBody(Buffer.from(text('b'))));
    const { report } = await run({ budgetBytes: 3 * fileBytes });
    expect(report).toMatchObject({ isSound: true, coverage: { verifiedFiles: 3 } });
  });

  it('forgets what is damaged, also if only one snapshot is verified', async () => {
    await backUp('a', 'b', 'c');
    await run({ budgetBytes: 3 * fileBytes });
    const id = (await host.agent.list())[0]?.id ?? '';
    await bare.put(`history/${id}/c`, bytesBody(Buffer.from(text('x'))));
    await run({ budgetBytes: 3 * fileBytes, snapshot: id });
    expect(Object.keys(record().verified)).toHaveLength(2);
  });

  it('finds what is missing without reading it', async () => {
    await backUp('a', 'b', 'c');
    await loseFile(bare, formats, { snapshot: await host.agent.show('latest'), path: 'c' });
    const { report, files } = await run({ budgetBytes: 1 });
    expect(files).toEqual(['a']);
    expect(report.snapshots[0]?.problems).toEqual([expect.stringContaining('is missing')]);
  });

  it('of a snapshot that is named reads that one alone, and forgets nothing of the others', async () => {
    const id = await backUp('a');
    await backUp('b');
    await run({ budgetBytes: 10 * fileBytes });
    const { files, report } = await run({ budgetBytes: 10 * fileBytes, snapshot: id });
    expect(files).toEqual(['a']);
    expect(report.snapshots).toHaveLength(1);
    expect(Object.keys(record().verified)).toHaveLength(3);
  });

  it('that is interrupted remembers what it has read', async () => {
    await backUp('a', 'b', 'c');
    const aborter = new AbortController();
    onRead = (key) => key.endsWith('c') && aborter.abort();
    const broken = host.agent.verify({ readData: true, budgetMs: minute, signal: aborter.signal });
    await expect(broken).rejects.toMatchObject({ code: 'INTERRUPTED' });
    onRead = () => undefined;
    expect((await run({ budgetBytes: fileBytes })).files).toEqual(['c']);
  });

  it('begins anew if what it remembered is damaged, and warns if it cannot be written', async () => {
    await backUp('a', 'b');
    await run({ budgetBytes: fileBytes });
    const home = join(host.root, '.store.sync-agent');
    const name = readdirSync(home).find((each) => each.startsWith('verified-')) ?? '';
    writeFileSync(join(home, name), '{"format":1');
    expect((await run({ budgetBytes: fileBytes })).files).toEqual(['a']);
    rmSync(join(home, name));
    mkdirSync(join(home, name, 'x'), { recursive: true });
    expect((await run({ budgetBytes: fileBytes })).report.isSound).toBe(true);
    expect(host.events.filter(({ type }) => type === 'warning')).toMatchObject([{ message: expect.stringContaining('Cannot remember what was verified') as unknown }]); // prettier-ignore
  });
});

describe('verify with a budget of time', () => {
  it('begins no more files when the time is over', async () => {
    await backUp('a', 'b', 'c', 'd');
    let now = 0;
    const slow = { ...clock, monotonic: () => now };
    await make({ root: host.root, clock: slow });
    onRead = () => (now += minute);
    expect((await run({ budgetMs: 2 * minute })).files).toEqual(['a', 'b']);
    expect((await run({ budgetMs: 3 * minute })).files).toEqual(['c', 'd', 'a']);
  });
});

describe.each(formatCases)('verify with a budget of %s content', (_, { formats: known }) => {
  it('reads what snapshots share once, and calls each of them damaged', async () => {
    await make({ root: host.root, formats: known, settings: { history: 'linked' } });
    await backUp('a', 'b');
    await backUp('c');
    const whole = await run({ budgetMs: minute });
    expect(whole.report.coverage).toMatchObject({ files: 3, verifiedFiles: 3, readFiles: 3 });
    // Its size stays, so that only a reader notices.
    const key = objectOf(known, await host.agent.show('~1'), 'a');
    const { body, size } = await bare.get(key);
    const bytes = await collect(body, size, size);
    await bare.put(key, bytesBody(bytes.map((each) => each ^ 1)));
    const { report } = await run({ budgetMs: minute });
    expect(report.snapshots.map(({ problems }) => problems.length > 0)).toEqual([true, true]);
  });
});

it('more files than can be remembered are all read in turn', async () => {
  const names = Array.from({ length: 23 }, (_, i) => String.fromCharCode(97 + i));
  await backUp(...names.slice(0, 20));
  await backUp(...names.slice(20));
  const access = openStoreAccess(
    { store: host.store, remote: 'file:///unused', concurrency: 1 },
    { remote: bare, clock },
  );
  const seen = new Set<string>();
  for (let i = 0; i < 11; i += 1) {
    await access.read(async (context) => {
      const view = await readRemote(context);
      const snapshots = await listSnapshots(context);
      await verifyInTurn(
        {
          ...context,
          remote: {
            ...passThrough(bare),
            get: (key, options) => {
              if (key.startsWith('history/2')) seen.add(key);
              return bare.get(key, options);
            },
          },
        },
        {
          entries: snapshots,
          isWhole: true,
          budget: { bytes: 4 * fileBytes },
          startMs: clock.monotonic(),
          most: 5,
          manifestOf: (entry) => manifestIfReadable(context, view, entry),
        },
      );
    }, undefined);
    clock.forward(minute);
  }
  expect(seen.size).toBe(43);
  expect(Object.keys(record().verified)).toHaveLength(5);
});
