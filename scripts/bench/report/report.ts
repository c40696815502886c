import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { PartResult, Sizes } from '../part.ts';
import { chromaSpec } from '../stores/chroma-stores.ts';
import type { Tool } from '../tools/tool.ts';
import { list, table } from './markdown.ts';
import { partSection } from './part-section.ts';
import { judgeQuiet } from './quiet.ts';
import { judge } from './targets.ts';

export interface Results {
  readonly tools: readonly Tool[];
  readonly missing: readonly string[];
  readonly s3: string;
  /** Of Node without a program, milliseconds. */
  readonly nodeStartMs: number;
  readonly sizes: Sizes;
  readonly parts: readonly PartResult[];
}

/** The whole of docs/benchmarks.md. */
export function renderReport(results: Results): string {
  const judgements = judge(results.parts);
  const sections = [
    '# Benchmarks',
    `Written by \`npm run bench -- --write\` on ${new Date().toISOString().slice(0, 10)}; do not edit it by hand.`,
    circumstances(results),
    '## Targets',
    table(
      ['what', 'target', 'measured', ''],
      judgements.map(({ what, target, measured, verdict }) => [what, target, measured, verdict]),
    ),
    ...results.parts.map(partSection),
    otherCommands,
    notes,
    howToRepeat,
  ];
  return `${sections.join('\n\n')}\n`;
}

function circumstances({ tools, missing, s3, nodeStartMs, sizes, parts }: Results): string {
  const [cpu] = cpus();
  const { othersShare, isQuiet } = judgeQuiet(parts);
  return list([
    `Machine: ${cpus().length} x ${cpu?.model.trim() ?? 'unknown CPU'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB memory, ` +
      `Linux ${release().split('-')[0]}, ${distribution()}, Node ${process.versions.node}, which alone starts in ${(nodeStartMs / 1000).toFixed(2)} s`,
    `Tools: ${tools.map(({ name, version }) => `${name} ${version}`).join(', ')}` +
      (missing.length === 0 ? '' : `; not installed: ${missing.join(', ')}`),
    `S3: ${s3}, on the same processors as the tools`,
    `Store, where nothing else is said: Chroma's own server made it, ${sizes.records.toLocaleString('en')} records of ` +
      `${chromaSpec.dimension} dimensions with documents`,
    `Figures: medians of ${sizes.rounds} rounds. In a round each step is done by one tool after the other, another one ` +
      `first each time. Each restored store is compared with the one that was backed up, byte by byte`,
    ...(othersShare === undefined
      ? []
      : [
          `Other programs used ${(othersShare * 100).toFixed(0)} % of the processors during the measured steps` +
            (isQuiet
              ? ''
              : ': NOT QUIET, so compare the tools with each other and trust CPU time more than wall time'),
        ]),
  ]);
}

const otherCommands = `## Other commands

Measured by hand on 2026-11-28, with the same store, when Node alone started in 0.06 s.

| command | seconds | peak MB |
| --- | ---: | ---: |
| \`check\`, with full-text indexes compared | 1.47 - 1.55 | 104 |
| \`export\` | 8.8 | 147 |
| \`import\` into a server, each record read back | 88 | 178 |
| \`maintain\` after a backup: 4.4 MiB of 352 gained | 4.7 - 5.9 | 114 |
| \`repair\` of a vector index, of a full-text index | 7.8, 9.2 | 147 |`;

const notes = `## What the figures mean

- The other tools copied a store at rest. Their copy of a running server's directory is worth nothing: SQLite and the
  vector index come from different moments, and the server loses records or crashes on them. sync-agent captures
  the store while a server runs; at rest, as here, it reads the store where it lies. In both cases its figures hold SQLite's own check, a check
  of each vector index against the database, and a SHA-256 of every file.
- Its restore verifies every SHA-256, which proves that the bytes are those that were checked before the commit, flushes
  all to disk and swaps directories by rename. rclone compares an MD5 where the object has one; restic authenticates what it reads; \`aws s3 sync\` trusts
  size and connection. None of them flushes to disk or looks inside.
- Of a large file that changed, sync-agent sends the parts of 6 MiB that changed, restic chunks of about 1 MiB, compressed, the others the whole
  file. How many those are depends on where the application writes: growing metadata change half of the parts, random ones all of them.
- Only sync-agent and restic keep older versions. \`aws s3 sync\` and rclone overwrite the only copy they have.
- CPU is user and system time of the tool and the processes it started. The server's CPU is not in it, and competes with it.
- Peak MB is the resident memory of the largest process. Requests and bytes of bodies were counted in a round of its
  own, by a proxy.`;

const howToRepeat = `## How to repeat it

    sudo apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common curl rclone awscli time
    scripts/fetch-glibc.sh     # only where chroma-server.sh check asks for it
    scripts/fetch-restic.sh    # or install restic 0.18
    npm run bench -- --write
    npm run bench -- --only cold,shaped --rounds 3

Making the stores takes ten minutes the first time; they stay in \`.cache/bench\`, some 5 GB. The run wants
10 GB of memory for the objects and 8 GB of disk. scripts/bench.ts lists the parts and what makes them smaller. Without
Ceph it uses the server that SYNC_AGENT_TEST_S3_ENDPOINT names, else the one of the test suite, whose figures mean little.`;

function distribution(): string {
  return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
}
