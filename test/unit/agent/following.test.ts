import { expect, it } from 'vitest';
import { follow } from '../../../src/agent/continuous/following.ts';
import type { Operations } from '../../../src/api/operations.ts';
import { systemClock } from '../../../src/platform/clock.ts';

it('a log is followed under the lease of its host from the first moment', async () => {
  let begun = (_: unknown): void => undefined;
  const asked = new Promise<unknown>((resolve) => (begun = resolve));
  const operations: Pick<Operations, 'followLog'> = {
    followLog: async (options) => {
      begun(options);
      return { type: 'followed', isSaved: true };
    },
  };
  const following = follow({
    intervalMs: 500,
    operationsFor: () => operations as Operations,
    clock: systemClock,
    emit: () => undefined,
    onSnapshotDue: () => undefined,
    epoch: async () => 7,
    snapshotBytes: () => undefined,
  });
  expect(await asked).toMatchObject({ intervalMs: 500, epoch: 7 });
  expect(await following.stop(Infinity)).toBe(true);
});
