import { afterEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Formats } from '../../../src/formats/registry.ts';
import { formatCases, loseFile } from '../../support/format-cases.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

const hour = 3_600_000;
const hosts: Host[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.remove();
});

/** A host with three snapshots that rotation may take, and one that looks while the first backs up again. */
async function watched(formats: Formats) {
  const clock = shiftableClock();
  const remote = createMemoryRemote({ now: clock.now });
  const settings = { keepLast: 2, graceMs: hour };
  const host = await makeHost({ remote, clock, formats, settings: { ...settings, keepLast: 3 } });
  const ids: string[] = [];
  const backUp = async (text: string): Promise<void> => {
    await host.write({ a: text });
    const result = await host.agent.backup();
    if (result.type === 'committed') ids.push(result.id);
    clock.forward(2 * hour);
  };
  for (const text of ['1', '2', '3']) await backUp(text);
  let isDue = true;
  const looking = await makeHost({
    clock,
    formats,
    settings,
    remote: {
      ...passThrough(remote),
      get: async (key, options) => {
        if (isDue && key.startsWith('history/')) {
          isDue = false;
          await backUp('4');
        }
        return remote.get(key, options);
      },
    },
  });
  hosts.push(host, looking);
  return { remote, looking, ids };
}

describe.each(formatCases)('verify of %s content, while another host rotates', (_, { formats }) => {
  it('does not take a snapshot that was rotated away for a damaged one', async () => {
    const { looking, ids } = await watched(formats);
    const report = await looking.agent.verify({ all: true, readData: true });
    expect(report).toMatchObject({ isSound: true });
    expect(report.snapshots.map(({ id }) => id)).toEqual(ids.slice(1, 3));
  });

  it('says of a named one that it is there no more', async () => {
    const { looking, ids } = await watched(formats);
    const verifying = looking.agent.verify({ snapshot: ids[0] ?? '', readData: true });
    await expect(verifying).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('still tells of a live one whose object is missing', async () => {
    const { remote, looking, ids } = await watched(formats);
    const snapshot = await looking.agent.show(ids[1] ?? '');
    await loseFile(remote, formats, { snapshot, path: 'a' });
    const report = await looking.agent.verify({ all: true, readData: true });
    expect(report.isSound).toBe(false);
    expect(report.snapshots.filter(({ problems }) => problems.length > 0).map(({ id }) => id)).toEqual([
      ids[1],
    ]);
  });
});

it('has nothing to say of an empty remote', async () => {
  const host = await makeHost({ remote: createMemoryRemote({ now: Date.now }) });
  hosts.push(host);
  expect(await host.agent.verify({ all: true })).toMatchObject({ isSound: true, snapshots: [] });
});
