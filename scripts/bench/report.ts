import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { operations } from './compare.ts';
import type { Operation, Sample } from './compare.ts';
import type { HoldResult } from './hold.ts';
import type { MemoryResult } from './memory.ts';
import type { Measured } from './run-measured.ts';
import type { Tool } from './tools.ts';

export interface Results {
  readonly tools: readonly Tool[];
  readonly missing: readonly string[];
  readonly s3: string;
  readonly records: number;
  readonly dimension: number;
  readonly storeBytes: number;
  readonly rounds: number;
  readonly samples: readonly Sample[];
  /** Of the system before each round: what others were doing. */
  readonly loads: readonly number[];
  readonly memory: MemoryResult | undefined;
  readonly hold: HoldResult | undefined;
}

/** The whole of docs/benchmarks.md. */
export function renderReport(results: Results): string {
  const { tools, missing, s3, records, dimension, storeBytes, rounds, samples, loads, memory, hold } =
    results;
  const [cpu] = cpus();
  const sections = [
    '# Benchmarks',
    `Written by \`npm run bench -- --write\` on ${new Date().toISOString().slice(0, 10)}; do not edit it by hand.`,
    list([
      `Machine: ${cpus().length} x ${cpu?.model.trim() ?? 'unknown CPU'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB memory, ` +
        `Linux ${release()}, ${distribution()}, Node ${process.versions.node}`,
      `Tools: ${tools.map(({ name, version }) => `${name} ${version}`).join(', ')}` +
        (missing.length === 0 ? '' : `; not installed: ${missing.join(', ')}`),
      `S3: ${s3}, on the same processors as the tools`,
      `Store: Chroma's own server made it, ${records.toLocaleString('en')} records of ${dimension} dimensions with documents, ` +
        `${megabytes(storeBytes)} MB`,
      `Figures: medians of ${rounds} rounds. In a round each operation is done by one tool after the other, another one ` +
        `first each time. Each restore is compared with the store, byte by byte`,
      `Load average before the rounds: ${loads.map((load) => load.toFixed(1)).join(', ')}. Where it is well above 0, others ` +
        `were using the machine: compare tools with each other and trust CPU time more than wall time`,
    ]),
    ...operations.map((operation) => operationSection(operation, tools, samples)),
    notes,
    ...(memory === undefined ? [] : [memorySection(memory)]),
    ...(hold === undefined ? [] : [holdSection(hold)]),
    howToRepeat,
  ];
  return `${sections.join('\n\n')}\n`;
}

function operationSection(operation: Operation, tools: readonly Tool[], samples: readonly Sample[]): string {
  const rows = tools.map(({ name }) => {
    const mine = samples.filter((sample) => sample.operation === operation && sample.tool === name);
    const timed = mine.flatMap(({ traffic, measured }) => (traffic === undefined ? [measured] : []));
    const traffic = mine.find((sample) => sample.traffic !== undefined)?.traffic;
    const walls = timed.map(({ wallMs }) => wallMs);
    return [
      name,
      seconds(median(walls)),
      `${seconds(Math.min(...walls))} - ${seconds(Math.max(...walls))}`,
      seconds(median(timed.map(({ cpuMs }) => cpuMs))),
      megabytes(median(timed.map(({ peakBytes }) => peakBytes))),
      String(traffic?.requests ?? '-'),
      traffic === undefined ? '-' : small(traffic.sentBytes),
      traffic === undefined ? '-' : small(traffic.receivedBytes),
    ];
  });
  const header = ['tool', 'wall s', 'range s', 'CPU s', 'peak MB', 'requests', 'sent MB', 'received MB'];
  return `## ${operation[0]?.toUpperCase()}${operation.slice(1)}\n\n${table(header, rows)}`;
}

const notes = `## What the figures mean

- The other tools copied a store at rest. A copy that they take of a running server's directory is worth nothing: SQLite
  and the vector index come from different moments, and the server loses records or crashes on them. sync-agent does the
  same work below whether the server runs or not, and that work is in its figures: a capture, SQLite's own check, a check
  of each vector index against the database, and a SHA-256 of every file.
- Its restore verifies every SHA-256, checks the database and indexes again, flushes all to disk and swaps directories by
  rename. rclone compares an MD5 where the object has one; restic authenticates what it reads; \`aws s3 sync\` trusts
  size and connection. None of them flushes to disk or looks inside.
- Only sync-agent and restic keep older versions. sync-agent's snapshots are complete plain copies, which the server
  makes of unchanged files; restic stores changed pieces only, compressed and encrypted, and sends the least by far
  after a small change. \`aws s3 sync\` and rclone overwrite the only copy they have.
- A file that changed is sent whole by all but restic. Chroma changes \`chroma.sqlite3\` at every write.
- CPU is user and system time of the tool. What the S3 server uses is not in it, but competes with it.
- Peak MB is the resident memory of the largest process. Requests and bytes of bodies were counted in a round of its
  own, by a proxy.`;

function memorySection({ storeBytes, backup, unchanged, restore }: MemoryResult): string {
  const row = (name: string, { wallMs, cpuMs, peakBytes }: Measured): readonly string[] => [
    name,
    seconds(wallMs),
    seconds(cpuMs),
    megabytes(peakBytes),
  ];
  return `## Memory does not grow with the store

sync-agent, one run each, one SQLite database of ${megabytes(storeBytes)} MB that does not compress.

${table(
  ['operation', 'wall s', 'CPU s', 'peak MB'],
  [row('cold backup', backup), row('nothing changed', unchanged), row('cold restore', restore)],
)}`;
}

function holdSection({ storeBytes, backups, quiet, writes, failedWrites }: HoldResult): string {
  const holds = backups.map(({ longestHoldMs }) => longestHoldMs);
  const per500 = (ms: number): string => ((ms * 500e6) / storeBytes).toFixed(0);
  const slowest = backups.map(({ slowestWriteMs }) => slowestWriteMs);
  return `## How long writers are held back

${backups.length} backups of the running server's directory (${megabytes(storeBytes)} MB), while four writers wrote without a pause:
${writes.toLocaleString('en')} requests, ${failedWrites} of them failed. Readers are never held back.

${table(
  ['', 'median', 'longest'],
  [
    ['longest hold of a backup, ms', median(holds).toFixed(0), Math.max(...holds).toFixed(0)],
    ['the same per 500 MB of store, ms', per500(median(holds)), per500(Math.max(...holds))],
    [
      "the writers' slowest request during a backup, ms",
      median(slowest).toFixed(0),
      Math.max(...slowest).toFixed(0),
    ],
    [`their slowest one in ${quiet.seconds} s without a backup, ms`, '', String(quiet.slowestWriteMs)],
    ['a backup in all, s', seconds(median(backups.map(({ wallMs }) => wallMs))), ''],
  ],
)}

A request that is slow during a backup also waits for the processors, which the backup and the S3 server use as well.
Most requests took ${quiet.medianWriteMs} ms without a backup.`;
}

const howToRepeat = `## How to repeat it

    sudo apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common curl rclone awscli time
    scripts/fetch-glibc.sh     # only where chroma-server.sh check asks for it
    scripts/fetch-restic.sh    # or install restic 0.18
    npm run bench -- --write

Making the stores takes some minutes the first time; they stay in \`.cache/bench\`. It wants 10 GB of memory for the
objects and 8 GB of disk. \`--records\`, \`--rounds\`, \`--large-mb\` and \`--hot\` make it smaller (scripts/bench.ts). Without
Ceph it uses the server that SYNC_AGENT_TEST_S3_ENDPOINT names, else the one of the test suite, whose figures mean little.`;

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = header.map((_, index) => (index === 0 ? '---' : '---:'));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}

const list = (items: readonly string[]): string => items.map((item) => `- ${item}`).join('\n');

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

const seconds = (ms: number): string => (ms / 1000).toFixed(2);
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
const small = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 10e6 ? 2 : 0);

function distribution(): string {
  return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
}
