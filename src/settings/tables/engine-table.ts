import { choice, duration, factor, share, wholeNumber, yesOrNo } from '../kind.ts';
import type { SettingTable } from '../setting.ts';

const most = 100_000;

/** How backups and restores are made, and how long snapshots are kept. */
export const engineTable = {
  keepLast: {
    kind: wholeNumber(1, most),
    help: 'Number of newest snapshots to keep, at least 1',
    default: '24',
    library: 'keepLast',
  },
  keepHourly: {
    kind: wholeNumber(0, most),
    help: 'Number of hours to keep the newest snapshot of',
    details: 'Hours without a snapshot do not count.',
    default: '0',
    library: 'keepHourly',
  },
  keepDaily: {
    kind: wholeNumber(0, most),
    help: 'Number of days to keep the newest snapshot of',
    default: '0',
    library: 'keepDaily',
  },
  keepWeekly: {
    kind: wholeNumber(0, most),
    help: 'Number of weeks, from Monday, to keep the newest snapshot of',
    default: '0',
    library: 'keepWeekly',
  },
  keepMonthly: {
    kind: wholeNumber(0, most),
    help: 'Number of months to keep the newest snapshot of',
    default: '0',
    library: 'keepMonthly',
  },
  keepWithin: {
    kind: duration,
    help: 'Age up to which every snapshot is kept, such as 7d',
    default: '0',
    library: 'keepWithinMs',
  },
  keep: { kind: wholeNumber(1, most), help: 'The same as --keep-last', aliasOf: 'keepLast' },
  grace: {
    kind: duration,
    help: 'Time to keep deleted data, so that runs on other hosts can finish',
    details:
      'A backup that takes longer than half of it gives up. Set the same on all hosts of a remote. ' +
      '`0s` is for a remote that one host alone uses: no backup gives up, and rotation waits for nobody.',
    default: '2h',
    library: 'graceMs',
  },
  captureTimeout: {
    kind: duration,
    help: 'Time to wait for a quiet moment of the store',
    default: '60s',
    library: 'captureTimeoutMs',
  },
  history: {
    kind: choice('copy', 'linked'),
    help: 'Snapshots: copy (each is complete) or linked (unchanged files are shared)',
    default: 'copy',
    library: 'history',
  },
  fullCheck: {
    kind: yesOrNo,
    help: 'Check the integrity of the store thoroughly, which takes longer',
    details:
      "It uses SQLite's `integrity_check`. Without it backups use `quick_check`, and compare the full-text indexes of a database above 32 MiB with their texts once a day; restores compare hashes, which prove what this version found sound before the commit, and look at the tables of other snapshots.",
    default: 'false',
    library: {
      name: 'validation',
      check: choice('quick', 'full').inCode,
      from: (isFull: boolean): 'quick' | 'full' => (isFull ? 'full' : 'quick'),
    },
  },
  maxShrink: {
    kind: share,
    help: 'Largest share of bytes or records that a store may lose between backups',
    details: 'A backup of a store that lost more is refused.',
    default: '50%',
    library: 'maxShrink',
  },
  warnGrowth: {
    kind: factor,
    help: 'Warn when size or time of a backup is this many times the usual, such as 3x',
    details:
      'A factor, or `off`. Usual is the median of the ten before it; with fewer than three nothing is said, nor below 1 MiB more or 10 s. It is only a warning. How fast a store may grow is known to its application alone, so it is off by default.',
    default: 'off',
    library: 'warnGrowth',
  },
  onDamage: {
    kind: choice('fail', 'recover'),
    help: 'Start on a damaged store: fail, or recover (restore the newest snapshot)',
    details:
      'For `restore` and `run`. `fail` exits with code 5; `recover` keeps the damaged store as a rollback copy. With `--check-interval`, `run` also recovers a store that is found damaged while its command runs.',
    default: 'fail',
    library: 'onDamage',
  },
  startTimeout: {
    kind: duration,
    help: 'Time that restore and run wait for the remote beside a present store',
    details:
      'Then they go on with the present store. Without a store they wait as long as the remote is tried, unless this is set.',
    defaultNote: '20s',
    library: 'startTimeoutMs',
  },
  rollbackCopies: {
    kind: wholeNumber(0, 1000),
    help: 'Number of replaced stores to keep beside the store',
    default: '3',
    library: 'rollbackCopies',
  },
  concurrency: {
    kind: wholeNumber(1, 256),
    help: 'Number of files in transfer at once',
    default: '8',
    library: 'concurrency',
  },
} as const satisfies SettingTable;
