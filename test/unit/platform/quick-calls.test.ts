import { afterEach, describe, expect, it } from 'vitest';
import { createQuickCalls } from '../../../src/platform/quick/quick-calls.ts';

let nowMs = 0;
afterEach(() => (nowMs = 0));

/** Says where each call was made; one that is made here takes so long. */
function caller() {
  const calls = createQuickCalls(() => nowMs);
  return (ms: number): Promise<'here' | 'elsewhere'> =>
    Promise.resolve(
      calls.make<'here' | 'elsewhere'>(
        () => {
          nowMs += ms;
          return 'here';
        },
        async () => 'elsewhere',
      ),
    );
}

describe('calls of a file system', () => {
  it('are made in this thread while they are quick', async () => {
    const call = caller();
    for (let count = 0; count < 3000; count += 1) expect(await call(0.01)).toBe('here');
  });

  it('go to another thread once they are slow, and come back when they are quick again', async () => {
    const call = caller();
    const places: string[] = [];
    for (let count = 0; count < 1100; count += 1) places.push(await call(1));
    const slow = places.indexOf('elsewhere');
    expect(slow).toBeGreaterThan(1);
    expect(slow).toBeLessThan(10);
    expect(places.filter((place) => place === 'here').length).toBeLessThan(20);
    const later: string[] = [];
    for (let count = 0; count < 1100; count += 1) later.push(await call(0.01));
    expect(later.at(-1)).toBe('here');
  });

  it('go to another thread after one that took very long', async () => {
    const call = caller();
    expect(await call(100)).toBe('here');
    expect(await call(0.01)).toBe('elsewhere');
  });

  it('pass on results and errors, and count slow errors', async () => {
    const calls = createQuickCalls(() => nowMs);
    const fail = (): never => {
      nowMs += 100;
      throw new Error('here');
    };
    expect(() => calls.make(fail, async () => 1)).toThrow('here');
    expect(await calls.make(fail, async () => 1)).toBe(1);
  });

  it('let a timer have its turn, however many there are', async () => {
    const call = caller();
    let hasFired = false;
    setImmediate(() => (hasFired = true));
    for (let count = 0; count < 200; count += 1) await call(0.1);
    expect(hasFired).toBe(true);
  });
});
