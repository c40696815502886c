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

describe('hosts that race for the log of one store', () => {
  it(`keep every promise in ${schedules} interleavings of their remote calls`, async () => {
    // What fails is printed with the seed and the path that repeat it.
    await fc.assert(property(), { numRuns: schedules, endOnFailure: true });
  }, 900_000);
});
