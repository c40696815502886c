import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createSharedSync } from '../../../src/remotes/directory/shared-sync.ts';

function slowDisk() {
  const begun: { readonly path: string; end(): void; fail(error: Error): void }[] = [];
  const sync = createSharedSync({
    sync: (path) => new Promise((resolve, reject) => void begun.push({ path, end: resolve, fail: reject })),
  });
  return { begun, sync };
}

const nextTurn = async (): Promise<void> => {
  for (let count = 0; count < 5; count += 1) await turn();
};

describe('a shared sync', () => {
  it('is one for all who ask before it begins', async () => {
    const { begun, sync } = slowDisk();
    const all = Promise.all([sync('a'), sync('a'), sync('b'), sync('a')]);
    await nextTurn();
    expect(begun.map(({ path }) => path)).toEqual(['a', 'b']);
    for (const { end } of begun) end();
    await all;
  });

  it('is not that of one who wrote after it began', async () => {
    const { begun, sync } = slowDisk();
    const early = sync('a');
    await nextTurn();
    let isLateDone = false;
    const late = Promise.all([sync('a'), sync('a')]).then(() => (isLateDone = true));
    await nextTurn();
    expect(begun).toHaveLength(1);
    begun[0]?.end();
    await early;
    await nextTurn();
    expect(isLateDone).toBe(false);
    expect(begun).toHaveLength(2);
    begun[1]?.end();
    await late;
  });

  it('fails for those who shared it, and for nobody else', async () => {
    const { begun, sync } = slowDisk();
    const early = [sync('a'), sync('a')].map((each) => each.catch((error: Error) => error.message));
    await nextTurn();
    const late = sync('a');
    begun[0]?.fail(new Error('the disk is broken'));
    expect(await Promise.all(early)).toEqual(['the disk is broken', 'the disk is broken']);
    await nextTurn();
    begun[1]?.end();
    await late;
  });
});
