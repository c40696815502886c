import { beforeEach, expect, it } from 'vitest';
import { untilBegun } from '../../../src/agent/until-begun.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

const clock = virtualClock();
let stopping: AbortController;
beforeEach(() => {
  stopping = new AbortController();
});
const watch = (asked?: AbortSignal) => untilBegun(stopping.signal, { clock, asked });

it('what has not begun ends when the agent stops, and is told how soon', () => {
  const { signal } = watch();
  expect(signal.aborted).toBe(false);
  stopping.abort();
  expect(signal.reason).toMatchObject({ code: 'INTERRUPTED', untilMs: clock.monotonic() + 1000 });
});

it('what has begun goes on, and still heeds who asked for it', () => {
  const asked = new AbortController();
  const { signal, begun } = watch(asked.signal);
  begun();
  stopping.abort();
  expect(signal.aborted).toBe(false);
  asked.abort('enough');
  expect(signal.reason).toBe('enough');
});

it('what is made after the stop, or was let go of, does not end by it', () => {
  const { signal: released, release } = watch();
  release();
  stopping.abort();
  expect([released.aborted, watch().signal.aborted]).toEqual([false, false]);
});
