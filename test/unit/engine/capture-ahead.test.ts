import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let host: Host;
/** Called before each listing. */
let onList: () => Promise<void>;
beforeEach(async () => {
  onList = async () => undefined;
  const memory = createMemoryRemote({ now: Date.now });
  const remote: Remote = {
    ...memory,
    list: async function* (...call) {
      await onList();
      yield* memory.list(...call);
    },
  };
  host = await makeHost({ remote });
  await host.write({ a: 'one' });
});
afterEach(() => host.remove());

const captured = (): boolean => host.events.some(({ type }) => type === 'captured');
/** Listings are answered only once the store was captured. */
const untilCaptured = async (): Promise<void> => {
  while (!captured()) await new Promise((resolve) => setImmediate(resolve));
};
const unreachable = async (): Promise<void> => {
  await untilCaptured();
  throw new SyncAgentError('DENIED', 'Cannot list: no');
};

describe('a one-shot backup of a changed store', () => {
  it('captures while the remote is asked', async () => {
    onList = untilCaptured;
    await expect(host.agent.backup()).resolves.toMatchObject({ type: 'committed' });
    host.events.length = 0;
    await host.write({ a: 'two' });
    await expect(host.agent.backup()).resolves.toMatchObject({ type: 'committed', uploadBytes: 3 });
  });

  it('drops the image where the remote says no', async () => {
    onList = unreachable;
    await expect(host.agent.backup()).rejects.toMatchObject({ code: 'DENIED' });
    onList = async () => undefined;
    await expect(host.agent.backup()).resolves.toMatchObject({ type: 'committed', files: 1 });
  });

  it('does not begin for a store that is known to be unchanged, nor for an agent, nor where the newest snapshot may be too young', async () => {
    await host.agent.backup();
    host.events.length = 0;
    await expect(host.agent.backup()).resolves.toMatchObject({ type: 'unchanged' });
    expect(captured()).toBe(false);
    await host.write({ a: 'three' });
    onList = async () => {
      throw new SyncAgentError('DENIED', 'Cannot list: no');
    };
    await expect(host.agent.backup({ local: { minIntervalMs: 0 } })).rejects.toMatchObject({
      code: 'DENIED',
    });
    expect(captured()).toBe(false);
  });
});
