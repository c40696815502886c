import { describe, expect, it } from 'vitest';
import { adaptivePace } from '../../../src/engine/writing/pace.ts';

describe('an adaptive pace', () => {
  it('grows to the limit of the server while full batches are quick', () => {
    const pace = adaptivePace({ most: 300, bytes: 1 });
    const sizes = Array.from({ length: 7 }, () => {
      const size = pace.records();
      pace.took(size, 10);
      return size;
    });
    expect(sizes).toEqual([50, 75, 113, 170, 255, 300, 300]);
  });

  it('never sends more than the server takes, from the first batch on', () => {
    expect(adaptivePace({ most: 7, bytes: 1 }).records()).toBe(7);
  });

  it('does not grow by a batch that was not full', () => {
    const pace = adaptivePace({ most: 300, bytes: 1 });
    pace.took(3, 1);
    expect(pace.records()).toBe(50);
  });

  it('shrinks at once to what would have met the target', () => {
    const pace = adaptivePace({ most: 300, bytes: 1, targetMs: 1000 });
    pace.took(50, 5000);
    expect(pace.records()).toBe(10);
    pace.took(10, 60_000);
    expect(pace.records()).toBe(1);
  });

  it('halves what is not answered in time, down to single records', () => {
    const pace = adaptivePace({ most: 300, bytes: 1 });
    pace.tooSlow(50);
    expect(pace.records()).toBe(25);
    pace.tooSlow(1);
    expect(pace.records()).toBe(1);
  });
});
