import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

/** A file that hangs must end before the job does; a fork that does not end is killed. */
const teardownTimeout = 10_000;

/** These measure what a server and a capture do to each other, or time out within fractions of a second: one at a time. */
const alone = [
  'test/crash/deadlines.test.ts',
  'test/e2e/churn.test.ts',
  'test/e2e/hot-backup.test.ts',
  'test/e2e/killed-server.test.ts',
];

/** What replaces a module needs modules of its own. All others share them: to load them anew for each file takes a third of the time. */
const mocking = ['test/unit', 'test/conformance']
  .flatMap((room) =>
    readdirSync(join(import.meta.dirname, room), { recursive: true, encoding: 'utf8' }).map(
      (name) => `${room}/${name}`,
    ),
  )
  .filter(
    (path) =>
      path.endsWith('.test.ts') && readFileSync(join(import.meta.dirname, path), 'utf8').includes('vi.mock('),
  );

/** Small files that take long. Where nothing is known of earlier runs, large files come first, and these would be waited for at the end. */
const longer = [
  'test/crash/lease-races.test.ts',
  'test/crash/many-files.test.ts',
  'test/e2e/check.test.ts',
  'test/e2e/copy.test.ts',
  'test/e2e/drill.test.ts',
  'test/e2e/examples.test.ts',
  'test/e2e/format-recipe.test.ts',
  'test/e2e/status-page.test.ts',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLonger = ({ moduleId }: TestSpecification): number =>
      Number(longer.some((path) => moduleId.endsWith(path)));
    // The method of this name that vitest has, not an array's.
    // oxlint-disable-next-line unicorn/no-array-sort
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => isLonger(b) - isLonger(a));
  }
}

/** Files wait for processes and timers for more than a quarter of their time. */
const maxWorkers = availableParallelism() * 2;

const fast = {
  globalSetup: ['test/support/build-scripts.ts'],
  testTimeout: 60_000,
  hookTimeout: 60_000,
  maxWorkers,
};

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
    sequence: { sequencer: LongestFirst },
    coverage: { include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          ...fast,
          include: ['test/{unit,conformance}/**/*.test.ts'],
          exclude: mocking,
          isolate: false,
        },
      },
      {
        extends: true,
        test: { name: 'mocking', ...fast, include: mocking },
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
