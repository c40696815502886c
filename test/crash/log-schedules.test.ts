import { describe, expect, it } from 'vitest';
import { runLogSchedule } from '../support/log-schedule.ts';

const schedules = Number(process.env['SYNC_AGENT_TEST_LOG_SCHEDULES'] ?? 2);
const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1e6);

describe('machines that die one after the other while a store is followed', () => {
  it.each(Array.from({ length: schedules }, (_, index) => seed + index))(
    'lose nothing that was saved, and bring nothing back (seed %i)',
    async (each) => {
      const counts = await runLogSchedule(each, 3);
      if (process.env['SYNC_AGENT_TEST_TELL'] === '1') console.log(each, JSON.stringify(counts));
      expect(counts.kills).toBe(3);
      expect(counts.backups).toBeGreaterThan(0);
    },
  );
});
