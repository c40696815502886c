import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let host: Host;
let remote: Remote;
/** Called before each listing. */
let onList: () => Promise<void>;
beforeEach(async () => {
  onList = async () => undefined;
  const memory = createMemoryRemote({ now: Date.now });
  remote = {
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
/** Emitted as a capture begins, before anything else has a turn. */
const begun = (): boolean => host.events.some((event) => event.type === 'phase' && event.phase === 'capture');
/** Listings are answered only once the store was captured. */
const untilCaptured = async (): Promise<void> => {
  while (!captured()) await new Promise((resolve) => setImmediate(resolve));
};
const deny = (): never => {
  throw new SyncAgentError('DENIED', 'Cannot list: no');
};
const unreachable = async (): Promise<void> => {
  await untilCaptured();
  deny();
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

  it('waits for the capture to end before it removes the image', async () => {
    const steps: string[] = [];
    let begin = (): void => undefined;
    let remove = (): void => undefined;
    const copying = new Promise<void>((resolve) => (begin = resolve));
    const removing = new Promise<void>((resolve) => (remove = resolve));
    const slow = await makeHost({
      remote,
      root: host.root,
      // A store that somebody has open is copied.
      ports: {
        findStoreUsers: async () => [{ pid: 1, command: 'app', executable: undefined, mayWrite: true }],
      },
      fs: {
        ...nodeFileSystem,
        copy: async (...call) => {
          steps.push('copying');
          begin();
          await Promise.race([removing, delay(100)]);
          await nodeFileSystem.copy(...call).catch(() => undefined);
          steps.push('copied');
        },
        remove: (path) => {
          if (path.endsWith('/staging') && steps.length > 0) {
            steps.push('removed');
            remove();
          }
          return nodeFileSystem.remove(path);
        },
      },
    });
    onList = () => copying.then(deny);
    await expect(slow.agent.backup()).rejects.toMatchObject({ code: 'DENIED' });
    expect(steps).toEqual(['copying', 'copied', 'removed']);
  });

  it('does not begin for a store that is known to be unchanged, nor for an agent, nor where the newest snapshot may be too young', async () => {
    await host.agent.backup();
    host.events.length = 0;
    await expect(host.agent.backup()).resolves.toMatchObject({ type: 'unchanged' });
    expect(begun()).toBe(false);
    await host.write({ a: 'three' });
    await expect(host.agent.backup({ minIntervalMs: 3_600_000 })).resolves.toMatchObject({
      type: 'too-soon',
    });
    expect(begun()).toBe(false);
    onList = async () => deny();
    await expect(host.agent.backup({ local: { minIntervalMs: 0 } })).rejects.toMatchObject({
      code: 'DENIED',
    });
    expect(begun()).toBe(false);
  });

  it('does not begin for a sync, which has read the log: here one that is refused, since the remote was emptied', async () => {
    await host.agent.backup();
    await host.write({ a: 'two' });
    const keys: string[] = [];
    for await (const { objects } of remote.list('')) keys.push(...objects.map(({ key }) => key));
    await remote.remove(keys);
    host.events.length = 0;
    await expect(host.agent.sync()).rejects.toMatchObject({ code: 'REFUSED' });
    expect(begun()).toBe(false);
  });
});
