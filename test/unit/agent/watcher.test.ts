import { mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import { watchStore } from '../../../src/agent/watch/watcher.ts';
import type { Watcher, WatcherOptions } from '../../../src/agent/watch/watcher.ts';
import type { ChangeSource, DaemonEvent } from '../../../src/platform/events.ts';

let root: string;
let store: string;
let watcher: Watcher | undefined;
let events: DaemonEvent[];
let changes: { source: ChangeSource; atMs: number }[];
let noticed: () => void;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-watch-'));
  store = join(root, 'store');
  await mkdir(join(store, 'inner'), { recursive: true });
  await writeFile(join(store, 'inner/a'), 'one');
  events = [];
  changes = [];
  noticed = () => undefined;
});
afterEach(async () => {
  await watcher?.stop();
  watcher = undefined;
  await rm(root, { recursive: true, force: true });
});

async function watching(options: Partial<WatcherOptions> = {}): Promise<void> {
  watcher = await watchStore({
    store,
    detect: 'auto',
    pollIntervalMs: 60_000,
    clock: systemClock,
    emit: (event) => {
      events.push(event);
      noticed();
    },
    onChange: (source, atMs) => {
      changes.push({ source, atMs });
      noticed();
    },
    onTrouble: (message) => {
      throw new Error(message);
    },
    ...options,
  });
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise<void>((resolve) => (noticed = resolve));
}

describe('a watch on a store', () => {
  it.each([
    ['a file written', () => writeFile(join(store, 'inner/a'), 'two')],
    [
      'a file created in a new directory',
      async () => {
        await mkdir(join(store, 'new'));
        await writeFile(join(store, 'new/b'), 'b');
      },
    ],
    ['a file removed', () => rm(join(store, 'inner/a'))],
    ['a file moved', () => rename(join(store, 'inner/a'), join(store, 'b'))],
  ])('notices %s by an event', async (_, write) => {
    await watching();
    await write();
    await until(() => changes.length > 0);
    expect(changes[0]?.source).toBe('events');
    expect(watcher?.by()).toBe('events');
  });

  it('notices by polling where it is told to', async () => {
    await watching({ detect: 'poll', pollIntervalMs: 20 });
    const before = Date.now();
    await writeFile(join(store, 'inner/a'), 'two');
    await until(() => changes.length > 0);
    expect(changes[0]?.source).toBe('polling');
    expect(changes[0]?.atMs).toBeLessThanOrEqual(Date.now());
    expect(changes[0]?.atMs).toBeGreaterThan(before - 1000);
    expect(events).toContainEqual({ type: 'watching', by: 'polling' });
  });

  it('notices a change that keeps size and modification time', async () => {
    await watching({ detect: 'poll', pollIntervalMs: 20 });
    const past = new Date(2020, 1, 1);
    await writeFile(join(store, 'inner/a'), 'two');
    await utimes(join(store, 'inner/a'), past, past);
    await until(() => changes.length > 0);
    const count = changes.length;
    await writeFile(join(store, 'inner/a'), 'six');
    await utimes(join(store, 'inner/a'), past, past);
    await until(() => changes.length > count);
  });

  it('relies on polling once a change came without an event', async () => {
    // Events that never come: as on a network file system.
    await watching({ pollIntervalMs: 50, openEvents: async () => ({ close: async () => undefined }) });
    expect(watcher?.by()).toBe('events');
    await writeFile(join(store, 'inner/a'), 'two');
    await until(() => watcher?.by() === 'polling');
    expect(changes[0]?.source).toBe('polling');
    expect(events.at(-1)).toMatchObject({
      type: 'watching',
      by: 'polling',
      why: expect.any(String) as string,
    });
  });

  it('relies on polling once the events fail', async () => {
    let fail: (error: Error) => void = () => undefined;
    await watching({
      pollIntervalMs: 50,
      openEvents: async (_, { onError }) => {
        fail = onError;
        return { close: async () => undefined };
      },
    });
    fail(new Error('ENOSPC: too many watches'));
    await until(() => watcher?.by() === 'polling');
    await writeFile(join(store, 'inner/a'), 'two');
    await until(() => changes.length > 0);
  });

  it('goes on with a store that was replaced, whoever did it', async () => {
    await watching({ pollIntervalMs: 50 });
    await rename(store, join(root, 'old'));
    await mkdir(store);
    await writeFile(join(store, 'b'), 'b');
    await until(() => changes.length > 0);
    await watcher?.again();
    const count = changes.length;
    await writeFile(join(store, 'b'), 'c');
    await until(() => changes.length > count);
  });

  it('notices a store that is made after it began', async () => {
    await rm(store, { recursive: true });
    await watching({ pollIntervalMs: 50 });
    await mkdir(store);
    await writeFile(join(store, 'b'), 'b');
    await until(() => changes.length > 0);
  });

  it("does not take the agent's own directory, or SQLite's shared memory, for changes", async () => {
    await mkdir(join(store, '.sync-agent'));
    let looks = 0;
    const counting: Clock = {
      ...systemClock,
      sleep: (...args) => {
        looks += 1;
        noticed();
        return systemClock.sleep(...args);
      },
    };
    await watching({ detect: 'poll', pollIntervalMs: 5, clock: counting });
    await writeFile(join(store, '.sync-agent/state.json'), '{}');
    await writeFile(join(store, 'x.sqlite-shm'), 'shared');
    await writeFile(join(store, 'x.sqlite-wal'), '');
    const before = looks;
    await until(() => looks > before + 2);
    expect(changes).toEqual([]);
    await writeFile(join(store, 'x.sqlite-wal'), 'frame');
    await until(() => changes.length > 0);
  });

  it('watches a store anew that was replaced, although events said so', async () => {
    let say: () => void = () => undefined;
    let opened = 0;
    await watching({
      pollIntervalMs: 20,
      openEvents: async (_, { onEvent }) => {
        opened += 1;
        say = onEvent;
        noticed();
        return { close: async () => undefined };
      },
    });
    await rename(store, join(root, 'old'));
    say();
    await mkdir(store);
    say();
    // Events are of the old directory: only a new watch sees the new one.
    await until(() => opened >= 2);
    expect(watcher?.by()).toBe('events');
  });

  it('notices a change without an event that came after one with an event, before the next look', async () => {
    let say: () => void = () => undefined;
    await watching({
      pollIntervalMs: 20,
      openEvents: async (_, { onEvent }) => {
        say = onEvent;
        return { close: async () => undefined };
      },
      // The event came a second before what is written now.
      clock: { ...systemClock, now: () => Date.now() - 1000 },
    });
    await writeFile(join(store, 'inner/a'), 'two');
    say();
    await until(() => changes.some(({ source }) => source === 'polling'));
    expect(changes[0]?.source).toBe('events');
  });

  it('pauses for as long as looks take, not for as long as it waits for an event', async () => {
    const pauses: number[] = [];
    let monotonicMs = 0;
    await watching({
      pollIntervalMs: 100,
      openEvents: async () => ({ close: async () => undefined }),
      clock: {
        ...systemClock,
        monotonic: () => monotonicMs,
        sleep: async (ms, options) => {
          pauses.push(ms);
          monotonicMs += ms;
          noticed();
          await systemClock.sleep(10, options);
        },
      },
    });
    await writeFile(join(store, 'inner/a'), 'two');
    await until(() => watcher?.by() === 'polling');
    const count = pauses.length;
    await until(() => pauses.length > count);
    expect(pauses.at(-1)).toBe(100);
  });

  it('opens its events anew after a look that failed', async () => {
    let opened = 0;
    const troubles: string[] = [];
    await watching({
      pollIntervalMs: 20,
      openEvents: async () => {
        opened += 1;
        noticed();
        return { close: async () => undefined };
      },
      onTrouble: (message) => {
        troubles.push(message);
        noticed();
      },
    });
    await rename(store, join(root, 'away'));
    await writeFile(store, 'a file');
    await until(() => troubles.length > 0);
    await rm(store);
    await rename(join(root, 'away'), store);
    await until(() => opened >= 2);
    expect(watcher?.by()).toBe('events');
  });

  it('notices what was written before it was told to begin again', async () => {
    await watching({ detect: 'poll' });
    await watcher?.again();
    expect(changes).toEqual([]);
    await writeFile(join(store, 'inner/a'), 'two');
    await watcher?.again();
    expect(changes.map((each) => each.source)).toEqual(['polling']);
  });

  it('relies on polling from the start when the events cannot begin', async () => {
    let closed = 0;
    await watching({
      openEvents: async (_, { onError }) => {
        onError(new Error('ENOSPC: no more watches'));
        return { close: async () => void (closed += 1) };
      },
    });
    expect([watcher?.by(), closed]).toEqual(['polling', 1]);
    expect(events).toEqual([
      { type: 'watching', by: 'polling', why: expect.stringContaining('ENOSPC') as string },
    ]);
  });

  it('leaves no watch open that was being opened when it was stopped, or opened by two at once', async () => {
    let open = 0;
    let isOpening = false;
    let goOn: () => void = () => undefined;
    let isHeld = false;
    let looks = 0;
    await watching({
      clock: { ...systemClock, now: () => ((looks += 1), systemClock.now()) },
      openEvents: async () => {
        open += 1;
        isOpening = true;
        noticed();
        if (isHeld) await new Promise<void>((resolve) => (goOn = resolve));
        isOpening = false;
        return { close: async () => void (open -= 1) };
      },
    });
    await Promise.all([watcher?.again(), watcher?.again()]);
    expect(open).toBe(1);
    isHeld = true;
    const again = watcher?.again();
    await until(() => isOpening);
    const before = looks;
    const waiting = watcher?.again();
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(looks).toBe(before);
    const stopped = watcher?.stop();
    goOn();
    await stopped;
    expect(open).toBe(0);
    await Promise.all([again, waiting, watcher?.again()]);
    expect(open).toBe(0);
  });

  it('notices what is written while a new watch is opened, and goes on to rely on events', async () => {
    await watching({
      openEvents: async () => {
        await writeFile(join(store, 'inner/a'), `written ${Math.random()}`);
        return { close: async () => undefined };
      },
    });
    await watcher?.again();
    // One that the first watch missed, and one that the second did.
    expect(changes.map((each) => each.source)).toEqual(['polling', 'polling']);
    expect(watcher?.by()).toBe('events');
  });
});
