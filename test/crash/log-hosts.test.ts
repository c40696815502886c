import type * as Zlib from 'node:zlib';
import * as fc from 'fast-check';
import { describe, it, vi } from 'vitest';
import { logRaces, runLogRace } from '../support/log-race.ts';
import type { LogMutant } from '../support/log-race.ts';

// In threads of their own, how fast they are would decide whose turn it is.
vi.mock('node:zlib', async (original) => {
  const { blockingZip } = await import('../support/log-race/blocking.ts');
  const zlib = await original<typeof Zlib>();
  return { ...zlib, ...blockingZip(zlib) };
});
vi.mock('node:fs/promises', async (original) => {
  const { blockingFiles } = await import('../support/log-race/blocking.ts');
  return { ...(await original<object>()), ...blockingFiles() };
});

const schedules = Number(process.env['SYNC_AGENT_TEST_LOG_RACES'] ?? 20);

const property = (mutant?: LogMutant) => fc.asyncProperty(logRaces, (race) => runLogRace(race, mutant));

type Race = Parameters<typeof runLogRace>[0];
/** Each once hid what was saved. */
const found: readonly Race[] = [
  // An answer that came too late: the image was older than what its own follower had saved.
  {
    hosts: [['backup'], ['cut'], ['backup', 'write', 'flush']],
    hasLeases: true,
    pauses: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8115, 0, 44090, 0, 0, 0, 0, 0, 0, 0, 38656, 0, 0, 0],
    sleeper: null,
    stickiness: 2,
    seed: -1,
  },
  {
    hosts: [['backup', 'backup', 'backup', 'change'], ['renew']],
    hasLeases: true,
    pauses: [5603, 1822, 0, 7396, 0, 2466, 0, 0, 71537, 0, 324, 72026, 0, 64785, 0, 0, 0, 0, 0, 0],
    sleeper: { host: 0, call: 11 },
    stickiness: 3,
    seed: -2147483633,
  },
  // A process that was started again took up a log under a new lease without ranking it.
  {
    hosts: [
      ['backup', 'write', 'backup', 'restart'],
      ['purge', 'purge', 'write', 'flush'],
      ['flush', 'flush', 'flush', 'write', 'cut'],
    ],
    hasLeases: true,
    pauses: [0, 0, 0, 0, 0, 8070, 0, 0, 6972, 0, 0, 0, 0, 0, 0, 0, 9987, 0, 9621, 4, 1],
    sleeper: null,
    stickiness: 5,
    seed: 1408777028,
  },
  // The store had counted back since the image.
  {
    hosts: [
      ['leave', 'flush'],
      ['backup', 'flush', 'cut'],
      ['flush', 'cut'],
    ],
    hasLeases: true,
    pauses: [
      0, 0, 0, 9995, 0, 0, 0, 0, 0, 0, 0, 0, 30007, 0, 0, 0, 0, 0, 0, 0, 46784, 0, 13, 0, 0, 0, 0, 0, 0, 8688,
      0, 0, 0, 0, 51877, 0, 0, 5874, 0, 9988, 0, 0,
    ],
    sleeper: { host: 1, call: 23 },
    stickiness: 0,
    seed: 796631414,
  },
  // A host that had lost its lease made a snapshot, took the lease again, and went on from there: the log of the holder between was hidden.
  {
    hosts: [
      ['write', 'flush', 'flush', 'cut'],
      ['flush', 'cut', 'backup', 'restart', 'backup'],
    ],
    hasLeases: true,
    pauses: [0, 0, 0, 1753, 1292, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 387, 0, 5143, 0, 0],
    sleeper: null,
    stickiness: 6,
    seed: 1989313450,
  },
];

describe('hosts that race for the log of one store', () => {
  it.each(found.map((race, index) => [index, race] as const))(
    'keep every promise in race %i that once did not',
    (_, race) => runLogRace(race),
  );

  it(`keep every promise in ${schedules} interleavings of their remote calls`, async () => {
    // What fails is printed with the seed and the path that repeat it.
    await fc.assert(property(), { numRuns: schedules, endOnFailure: true });
  }, 900_000);
});
