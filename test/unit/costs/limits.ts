import { costNames } from './measure-cost.ts';
import type { Cost } from './measure-cost.ts';

export type StoreKind = 'plain' | 'directory' | 'chroma';

export type Operation = (typeof operations)[number];

/** The columns of the tables. */
export const operations = [
  'first backup',
  'unchanged backup',
  'changed backup',
  'backup of an image',
  'cold restore',
  'unchanged restore',
] as const;

/**
 * At most so much. Bytes have some to spare, since names and times differ in length. An operation that
 * needs less than half fails too, so that what was gained is not lost unseen.
 */
export const limits: Readonly<Record<StoreKind, Readonly<Record<Operation, Cost>>>> = {
  // 200 files of 20,000 bytes in 10 folders; 10 of them change.
  plain: parse(`
    put                      206           0          13          14           0           0
    get                        1           0           1           1         202           0
    head                       0           0           0           0           0           0
    list                       7           2           6           6           2           1
    copy                     200           0         200         201           0           0
    remove                     2           0           0           0           0           0
    bytesSent          4_280_000           0     327_000     328_000           0           0
    bytesReceived              0           0      39_300      39_500   4_200_000           0
    makeDirectory              5           1           4          16          18           1
    rename                     4           1           4           4           6           1
    removeFile                 7           2           7           7           8           2
    link                       0           0           0           0           0           0
    copyFile                   0           0           0         201           0           0
    open                       6           1           4           4         207           1
    write                      6           1           6           6         207           1
    setAttributes              1           0           0           0         202           0
    sync                       9           0           8           8         223           0
    bytesRead          4_240_000      50_600   4_460_000   8_780_000      20_600      50_900
    bytesWritten          42_700       1_020      44_100   4_220_000   4_210_000       1_500
    bytesHashed        4_340_000      70_500   4_470_000   4_370_000   4_280_000      67_600
    bytesCopied                0           0           0   4_170_000           0           0
  `),
  // The same on a directory remote, whose own calls of the disk are in the table: for each new object a file, or a link to that of
  // an image, and a sync; directories are synced once for all.
  directory: parse(`
    put                      206           0          13          14           0           0
    get                        1           0           1           1         202           0
    head                       0           0           0           0           0           0
    list                       7           2           6           6           2           1
    copy                     200           0         200         201           0           0
    remove                     2           0           0           0           0           0
    bytesSent          4_280_000           0     327_000     328_000           0           0
    bytesReceived              0           0      39_300      39_500   4_200_000           0
    makeDirectory             32           1          15          27          18           1
    rename                   206           1          25          15           6           1
    removeFile                13           2          19          19           8           2
    link                     204           0         222         224           0           0
    copyFile                   0           0           0         201           0           0
    open                     212           1          17           7         207           1
    write                    212           1          19           9         207           1
    setAttributes              1           0           0           0         202           0
    sync                     278           0          52          52         223           0
    bytesRead          4_170_000      50_600   4_500_000   8_460_000   4_100_000      50_900
    bytesWritten       4_230_000       1_050     373_000   4_340_000   4_210_000       1_500
    bytesHashed        4_340_000      70_500   4_470_000   4_370_000   4_280_000      67_600
    bytesCopied                0           0           0   4_170_000           0           0
  `),
  // The fixture chroma-1-a, 25 files, 0.43 MB; it becomes chroma-1-b.
  chroma: parse(`
    put                       31           0          21          22           0           0
    get                        1           0           1           1          27           0
    head                       0           0           0           0           0           0
    list                       7           2           6           6           2           1
    copy                      25           0          25          26           0           0
    remove                     2           0           1           1           0           0
    bytesSent            444_000           0     449_000     425_000           0           0
    bytesReceived              0           0       7_610       7_820     454_000           0
    makeDirectory              5           1           4          11          13           1
    rename                     4           1           4           4           6           1
    removeFile                 7           2           7           7           8           2
    link                       0           0           0           0           0           0
    copyFile                   0           0           0          26           0           0
    open                       6           1           4           4          32           1
    write                      6           1           6           6          35           1
    setAttributes              1           0           0           0          27           0
    sync                       9           0           8           8          43           0
    bytesRead          1_210_000      11_000   1_340_000   1_710_000     15_600       15_600
    bytesWritten          10_200       1_010      10_500     433_000     458_000       1_500
    bytesHashed          455_000      15_300     496_000     448_000     470_000      15_600
    bytesCopied                0           0           0     421_000           0           0
  `),
};

/** Threads wake each other by eight bytes that one writes and another reads. */
const wakeUpBytes = { bytesRead: 100_000, bytesWritten: 100_000 };

/** What depends on the scheduler, so that a limit may be missed by so much. */
export const noise: Readonly<Record<StoreKind, Partial<Cost>>> = {
  plain: wakeUpBytes,
  // How many calls find a sync of their directory that they can share. If none did, it would be 200 more.
  directory: { ...wakeUpBytes, sync: 20 },
  chroma: wakeUpBytes,
};

/** What is beyond its limit, or below half of it. */
export function exceptions(
  costs: Readonly<Partial<Record<Operation, Cost>>>,
  table: Readonly<Record<Operation, Cost>>,
  spares: Partial<Cost>,
): readonly string[] {
  return operations.flatMap((operation) =>
    costNames.flatMap((name) => {
      const cost = costs[operation]?.[name];
      const limit = table[operation][name];
      if (cost === undefined) return [];
      const spare = spares[name] ?? 0;
      if (cost <= limit + spare && cost >= limit / 2 - spare) return [];
      return cost > limit
        ? `${operation}: ${name} ${cost}, at most ${limit}`
        : `${operation}: ${name} ${cost}, less than half of ${limit}: lower the limit`;
    }),
  );
}

function parse(text: string): Record<Operation, Cost> {
  const rows = new Map(
    text
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .map(([name = '', ...cells]) => [name, cells.map((cell) => Number(cell.replaceAll('_', '')))]),
  );
  const column = (index: number): Cost =>
    Object.fromEntries(costNames.map((name) => [name, rows.get(name)?.[index] ?? NaN])) as Cost;
  return Object.fromEntries(operations.map((operation, index) => [operation, column(index)])) as Record<
    Operation,
    Cost
  >;
}
