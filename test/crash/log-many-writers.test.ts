import { expect, it } from 'vitest';
import { LogOvertaken, LogWriter } from '../../src/engine/continuous/log-writer.ts';
import { readLogRun } from '../../src/engine/continuous/read-log.ts';
import { SyncAgentError } from '../../src/platform/errors.ts';
import type { LogPosition } from '../../src/log/segments/position.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { contextOf, passThrough, seeded } from '../support/race.ts';

const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1e6);
const snapshot = '2026-11-21T11-30-05.123Z-7f3a9c2e';
const at = (number: number): LogPosition => ({ number, operation: 'e'.repeat(64), rest: '0'.repeat(64) });
const position = at(0);

it(`eight writers of one log, with answers lost: each segment that was reported as written is in the chain once (seed ${seed})`, async () => {
  const random = seeded(seed);
  const remote = createMemoryRemote({ now: Date.now });
  const lost = new SyncAgentError('REMOTE_UNREACHABLE', 'the answer was lost', { retryable: true });
  /** Calls take turns by chance; a third of the puts fails, half of those after it took effect. */
  const seen: Remote = {
    ...passThrough(remote),
    put: async (...args) => {
      for (let turns = Math.floor(random() * 4); turns > 0; turns -= 1) await Promise.resolve();
      const fate = random();
      if (fate < 1 / 6) throw lost;
      const result = await remote.put(...args);
      if (fate < 1 / 3) throw lost;
      return result;
    },
    get: async (...args) => {
      if (random() < 1 / 6) throw lost;
      return remote.get(...args);
    },
  };
  const clean = contextOf(remote, Date.now, random, 'reader');
  const reported: string[] = [];
  let overtaken = 0;

  async function work(host: string): Promise<void> {
    for (let round = 0; round < 12; round += 1) {
      const end = await readLogRun(clean, { snapshot, position }, () => undefined);
      const context = contextOf(seen, Date.now, random, host);
      const writer = new LogWriter(context, { snapshot, end, writer: 'a'.repeat(32), isConditional: true });
      const number = end.position.number + 1;
      const text = JSON.stringify([number, host, round]);
      const operations = [{ number, text }];
      writer.add([
        { type: 'entries', operations, to: at(number), hasMore: false, readAtMs: 1e12, bytes: text.length },
      ]);
      for (let isSettled = false; !isSettled;)
        try {
          await writer.ship(undefined);
          reported.push(text);
          isSettled = true;
        } catch (error) {
          isSettled = error instanceof LogOvertaken;
          if (isSettled) overtaken += 1;
          else if (error !== lost) throw error;
        }
    }
  }
  await Promise.all(Array.from({ length: 8 }, (_, index) => work(`host ${index}`)));

  const found: string[] = [];
  const run = await readLogRun(clean, { snapshot, position }, ({ lines }) => void found.push(...lines));
  expect(run.endedBy).toBeUndefined();
  expect(found.toSorted()).toEqual(reported.toSorted());
  expect(reported.length + overtaken).toBe(96);
  expect(overtaken).toBeGreaterThan(0);
});
