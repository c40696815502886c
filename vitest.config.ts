import { defineConfig } from 'vitest/config';

/** A file that hangs must end before the job does; a fork that does not end is killed. */
const teardownTimeout = 10_000;

/** Many simulated cases in one process: nothing in them is timed, so they run beside the others. */
const simulated = ['power-cut', 'disk', 'races', 'lease-races', 'random-faults'].map(
  (name) => `test/crash/${name}.test.ts`,
);

/** On real servers they do just what they do without: there they need not run. */
const local = [
  'bundled-observability',
  'cli',
  'damage-at-start',
  'examples',
  'hooks',
  'init',
  'lease',
  'library',
  'operations',
  'procfile',
  'retention',
  'run',
  'watch',
].map((name) => `test/e2e/${name}.test.ts`);

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
          globalSetup: ['test/support/build-scripts.ts'],
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
          globalSetup: ['test/support/build-scripts.ts'],
          include: simulated,
          testTimeout: 180_000,
          maxWorkers: '100%',
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Real processes that use no server but their own, and do not mind another beside them.
        extends: true,
        test: {
          name: 'local',
          include: local,
          globalSetup: ['test/support/build-scripts.ts', 'test/support/build-once.ts'],
          maxWorkers: 2,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        // Real processes that are killed, timed and measured: one file at a time, so that they do not slow each other.
        extends: true,
        test: {
          name: 'slow',
          include: ['test/{crash,e2e}/**/*.test.ts'],
          exclude: [...simulated, ...local],
          globalSetup: ['test/support/build-scripts.ts', 'test/support/build-once.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
