import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** A file that hangs must end before the job does; a fork that does not end is killed. */
const teardownTimeout = 10_000;

/** These measure what a server and a capture do to each other, or time out within fractions of a second: one at a time. */
const alone = [
  'test/crash/deadlines.test.ts',
  'test/e2e/churn.test.ts',
  'test/e2e/hot-backup.test.ts',
  'test/e2e/killed-server.test.ts',
];

/** Files wait for processes and timers for more than a quarter of their time. */
const maxWorkers = availableParallelism() * 2;

const processes = {
  globalSetup: ['test/support/build-scripts.ts', 'test/support/build-once.ts'],
  testTimeout: 180_000,
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    pool: 'forks',
    teardownTimeout,
    allowOnly: !process.env['CI'],
    coverage: { include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          include: ['test/{unit,conformance}/**/*.test.ts'],
          globalSetup: ['test/support/build-scripts.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          maxWorkers,
        },
      },
      {
        // Real processes, and simulated crashes by the thousand.
        extends: true,
        test: {
          name: 'slow',
          ...processes,
          include: ['test/{crash,e2e}/**/*.test.ts'],
          exclude: alone,
          maxWorkers,
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          ...processes,
          include: alone,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
