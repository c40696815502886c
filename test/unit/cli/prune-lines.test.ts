import { expect, it } from 'vitest';
import { pruneLines } from '../../../src/cli/commands/remote/prune.ts';

const a = '2026-01-01T00-00-00.000Z-00000001';
const b = '2026-01-02T00-00-00.000Z-00000002';
const nothing = { resolved: [], dropped: [], retained: [b], reasons: {}, objects: 0, isDryRun: false };

it.each([
  ['nothing', nothing, ['Nothing to delete: 1 snapshot kept']],
  [
    'a settled tip that stays',
    { ...nothing, resolved: [a], retained: [a, b] },
    [`settled  ${a}`, 'Nothing to delete: 2 snapshots kept'],
  ],
  [
    'a settled tip that goes',
    { ...nothing, resolved: [a], dropped: [a] },
    [
      `settled  ${a}`,
      `dropped  ${a}`,
      'Dropped 1 snapshot, kept 1; 0 objects deleted now, younger ones after the grace period',
    ],
  ],
  [
    'a rehearsal',
    {
      ...nothing,
      resolved: [a],
      dropped: [a],
      reasons: { [a]: [], [b]: ['newest' as const] },
      isDryRun: true,
    },
    [
      expect.stringContaining('BECAUSE'),
      expect.stringMatching(/would drop/),
      expect.stringMatching(/keep +newest/),
      `would settle  ${a}`,
      'Would drop 1 snapshot and keep 1',
    ],
  ],
])('prune tells of %s', (_, result, lines) => {
  expect(pruneLines(result)).toEqual(lines);
});
