import type * as FileSystem from 'node:fs';
import { expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { watchStore } from '../../../src/agent/watch/watcher.ts';

/** No mode keeps root out. */
vi.mock('node:fs', async (original) => {
  const denied = () => {
    throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
  };
  return { ...(await original<typeof FileSystem>()), readdirSync: denied };
});

it('does not begin where the store may not be read, and says so', async () => {
  const watching = watchStore({
    store: import.meta.dirname,
    detect: 'poll',
    pollIntervalMs: 60_000,
    clock: systemClock,
    emit: () => undefined,
    onChange: () => undefined,
    onTrouble: () => undefined,
  });
  await expect(watching).rejects.toMatchObject({
    code: 'DENIED',
    message: expect.stringContaining(import.meta.dirname) as string,
  });
});
