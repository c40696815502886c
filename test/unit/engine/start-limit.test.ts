import { describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

/** A remote whose listings never answer, whatever they are told. */
function silent(): Remote {
  const memory = createMemoryRemote({ now: Date.now });
  return {
    ...passThrough(memory),
    // eslint-disable-next-line require-yield -- it has no page to give
    list: async function* () {
      await new Promise(() => undefined);
    },
  };
}

describe('the time that a restore waits for the remote', () => {
  const settings = { startTimeoutMs: 50 };

  it('ends although the remote heeds no signal, and the store that is there may be gone on with', async () => {
    const host = await makeHost({ remote: silent(), settings });
    await host.write({ f: 'here' });
    await expect(host.agent.restore()).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      outOfReach: true,
      remedy: expect.stringContaining('--start-timeout') as string,
    });
    await host.remove();
  });

  it('does not bind who insists, whose own signal still does', async () => {
    const host = await makeHost({ remote: silent(), settings });
    await host.write({ f: 'here' });
    const aborter = new AbortController();
    const insisting = host.agent.restore({ force: true, signal: aborter.signal });
    const first = await Promise.race([
      insisting.catch(() => 'ended'),
      new Promise((resolve) => setTimeout(resolve, 200, 'still waiting')),
    ]);
    expect(first).toBe('still waiting');
    await host.remove();
  });
});
