import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tellUnusual, timesUsual } from '../../../src/engine/backup/unusual.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const kib = 1024;
let host: Host;
let slowByMs = 0;
const start = async (warnGrowth?: number): Promise<void> => {
  slowByMs = 0;
  const remote = createMemoryRemote({ now: Date.now });
  // Each reading of the clock is that much later than the one before: only operations that read it take long.
  let added = 0;
  host = await makeHost({
    remote: { ...remote, put: (...args) => ((added += slowByMs), remote.put(...args)) },
    clock: { ...systemClock, monotonic: () => systemClock.monotonic() + added },
    settings: warnGrowth === undefined ? {} : { warnGrowth },
    ports: { findStoreUsers: async () => [] },
  });
};
const save = async (text: string) => {
  await host.write({ 'a.txt': text });
  return host.agent.backup();
};
const warnings = (): readonly string[] =>
  host.events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
afterEach(() => host.remove());

describe('a backup far beyond those before it', () => {
  beforeEach(() => start(3));

  it('is told by its size: in the result, a warning and the operation log', async () => {
    for (const text of ['1', '2', '3']) await save(text.repeat(400 * kib));
    expect(warnings()).toEqual([]);
    const grown = await save('4'.repeat(1600 * kib));
    expect(grown).toMatchObject({
      type: 'committed',
      unusual: [expect.stringMatching(/has 1638400 bytes, 4\.0 times the median/)],
    });
    expect(warnings()).toEqual([expect.stringMatching(/^Unusual: snapshot .*4\.0 times/)]);
    const [last] = (await host.agent.operationLog()).slice(-1);
    expect(last).toMatchObject({ operation: 'backup', unusual: [expect.stringContaining('4.0 times')] });
  });

  it('is told by its time, compared with the operation log', async () => {
    for (const text of ['1', '2', '3']) await save(text);
    slowByMs = 20_000;
    expect(await save('4')).toMatchObject({
      unusual: [expect.stringMatching(/^the backup took \d+ s, .* times the median/)],
    });
  });

  it('is not told without three before it, by small differences, or within the factor', async () => {
    for (const text of ['1', '2']) await save(text.repeat(400 * kib));
    await save('3'.repeat(1900 * kib));
    await save('4'.repeat(1100 * kib));
    expect(warnings()).toEqual([]);
    await host.remove();
    await start(3);
    for (const text of ['1', '2', '3', '4'.repeat(1000 * kib)]) await save(text);
    expect(warnings()).toEqual([]);
  });
});

it('a snapshot is compared with sound ones, and one exactly at the factor is not told', async () => {
  await start(3);
  const mib = 1024 * kib;
  const tell = (bytes: number): Promise<{ readonly unusual?: readonly string[] }> => {
    const sizes = [1, 1, 1].map((size) => ({ entry: { bytes: size * mib } }));
    const damaged = [9, 9, 9, 9].map((size) => ({ entry: { bytes: size * mib, damaged: true } }));
    const context = { settings: { warnGrowth: 3 }, emit: () => undefined };
    const result = { type: 'committed', id: 'new', bytes };
    return tellUnusual(context as never, { snapshots: [...sizes, ...damaged] } as never, { result, tookMs: 1 } as never); // prettier-ignore
  };
  expect((await tell(3 * mib)).unusual).toBeUndefined();
  expect((await tell(3 * mib + 1)).unusual).toHaveLength(1);
});

it('a backup of less than ten seconds is not told, however fast those before it were', async () => {
  await start(3);
  for (const text of ['1', '2', '3']) await save(text);
  slowByMs = 1000;
  await save('4');
  expect(warnings()).toEqual([]);
});

it('nothing is told by default', async () => {
  await start();
  for (const text of ['1', '2', '3', '4'.repeat(4000 * kib)]) await save(text);
  expect(warnings()).toEqual([]);
});

it('what is usual is the median of the newest ten', () => {
  expect(timesUsual(9, [1, 1])).toBeUndefined();
  expect(timesUsual(9, [0, 0, 0])).toBeUndefined();
  expect(timesUsual(9, [3, 100, 1])).toBe(3);
  expect(timesUsual(8, [...Array<number>(20).fill(1), ...Array<number>(10).fill(4)])).toBe(2);
});
