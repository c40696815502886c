import { defineConfig } from 'vitest/config';

/** A file that hangs must end before the job does; a fork that does not end is killed. */
const teardownTimeout = 10_000;

/** Many simulated cases in one process: nothing in them is timed, so they run beside the others. */
const simulated = ['power-cut', 'disk', 'races', 'lease-races', 'random-faults'].map(
  (name) => `test/crash/${name}.test.ts`,
);

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
          testTimeout: 30_000,
          hookTimeout: 60_000,
          maxWorkers: '100%',
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'simulated',
          include: simulated,
          testTimeout: 180_000,
          maxWorkers: '100%',
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Real processes that are killed, timed and measured: one file at a time, so that they do not slow each other.
        extends: true,
        test: {
          name: 'slow',
          include: ['test/{crash,e2e}/**/*.test.ts'],
          exclude: simulated,
          globalSetup: ['test/support/build-once.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
