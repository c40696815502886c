import { describe, expect, it } from 'vitest';
import { both, concurrently, firstAlone } from '../../src/platform/concurrently.ts';

/** A call that ends when it is told to. */
function pending<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}

async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  let open = true;
  const end = (): boolean => (open = false);
  promise.then(end, end);
  await new Promise(setImmediate);
  return open;
}

describe('concurrently', () => {
  it('gives the results in the order of the items, and runs no more than allowed at once', async () => {
    let running = 0;
    let most = 0;
    const results = await concurrently([30, 10, 20, 0, 5], { concurrency: 2 }, async (ms, _, index) => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setTimeout(resolve, ms));
      running -= 1;
      return `${index}: ${ms}`;
    });
    expect(results).toEqual(['0: 30', '1: 10', '2: 20', '3: 0', '4: 5']);
    expect(most).toBe(2);
  });

  it('after a failure begins no more work, aborts the running work, and waits for its end', async () => {
    const [first, second] = [pending<void>(), pending<void>()];
    const begun: string[] = [];
    const told: unknown[] = [];
    const all = concurrently(['a', 'b', 'c'], { concurrency: 2 }, (item, signal) => {
      begun.push(item);
      if (item === 'a') signal.addEventListener('abort', () => told.push(signal.reason));
      return item === 'a' ? first.promise : second.promise;
    });
    const failure = new Error('b failed');
    second.reject(failure);
    expect(await isOpen(all)).toBe(true);
    expect(told).toEqual([failure]);
    first.reject(new Error('a was told to stop'));
    await expect(all).rejects.toBe(failure);
    expect(begun).toEqual(['a', 'b']);
  });

  it('passes the interruption of the caller on', async () => {
    const interruption = new AbortController();
    const all = concurrently(
      ['a'],
      { concurrency: 1, signal: interruption.signal },
      (_, signal) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        ),
    );
    expect(await isOpen(all)).toBe(true);
    interruption.abort(new Error('Ctrl-C'));
    await expect(all).rejects.toThrow('Ctrl-C');
  });
});

describe('both', () => {
  it('gives both results', async () => {
    expect(
      await both(
        undefined,
        async () => 1,
        async () => 'b',
      ),
    ).toEqual([1, 'b']);
  });

  it('rejects with the first failure, after the other work was aborted and has ended', async () => {
    const slow = pending<string>();
    let told = false;
    const two = both(
      undefined,
      (signal) => {
        signal.addEventListener('abort', () => (told = true));
        return slow.promise;
      },
      () => Promise.reject(new Error('the second failed')),
    );
    expect(await isOpen(two)).toBe(true);
    expect(told).toBe(true);
    slow.reject(new Error('the first was told to stop'));
    await expect(two).rejects.toThrow('the second failed');
  });
});

describe('the first alone', () => {
  it.each(['ends', 'fails'])('begins what is asked for meanwhile when the first %s', async (how) => {
    const inTurn = firstAlone();
    const first = pending<string>();
    const begun: string[] = [];
    const work = (name: string, end: Promise<string>) => () => {
      begun.push(name);
      return end;
    };
    const one = inTurn(work('one', first.promise));
    const endless = pending<string>();
    const others = ['two', 'three'].map((name) => inTurn(work(name, endless.promise)));
    expect(await isOpen(Promise.race(others))).toBe(true);
    expect(begun).toEqual(['one']);
    if (how === 'ends') first.resolve('done');
    else first.reject(new Error('lost'));
    expect(await one.catch((error: Error) => error.message)).toBe(how === 'ends' ? 'done' : 'lost');
    // Those do not wait for each other.
    expect(await isOpen(Promise.race(others))).toBe(true);
    expect(begun).toEqual(['one', 'two', 'three']);
    expect(await inTurn(async () => 'four')).toBe('four');
    endless.resolve('');
    await Promise.all(others);
  });
});
