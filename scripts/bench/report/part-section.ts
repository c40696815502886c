import type { Hold, PartResult, Sample } from '../part.ts';
import { median, megabytes, seconds, table } from './markdown.ts';

export function partSection({ title, about, samples, holds, facts = [] }: PartResult): string {
  const tables = [
    ...(samples.length === 0 ? [] : [sampleTable(samples)]),
    ...(holds.length === 0 ? [] : [holdTable(holds)]),
    ...(facts.length === 0 ? [] : [table(['what', 'measured'], facts)]),
  ];
  return [`## ${title}`, about, ...tables].join('\n\n');
}

function sampleTable(samples: readonly Sample[]): string {
  const steps = [...new Set(samples.map(({ step }) => step))];
  const tools = [...new Set(samples.map(({ tool }) => tool))].toSorted(
    (a, b) => Number(b === 'sync-agent') - Number(a === 'sync-agent') || a.localeCompare(b),
  );
  const rows = steps.flatMap((step) =>
    tools.map((tool) =>
      sampleRow(
        step,
        tool,
        samples.filter((each) => each.step === step && each.tool === tool),
      ),
    ),
  );
  const header = ['step', 'tool', 'wall s', 'range s', 'CPU s', "server's CPU s", 'peak MB'];
  return table([...header, 'requests', 'sent MB', 'received MB'], rows);
}

function sampleRow(step: string, tool: string, samples: readonly Sample[]): readonly string[] {
  const timed = samples.filter(({ traffic }) => traffic === undefined);
  const traffic = samples.find((sample) => sample.traffic !== undefined)?.traffic;
  const walls = timed.map(({ measured }) => measured.wallMs);
  const serverCpuMs = timed.flatMap((sample) => sample.serverCpuMs ?? []);
  return [
    step,
    tool,
    seconds(median(walls)),
    `${seconds(Math.min(...walls))} - ${seconds(Math.max(...walls))}`,
    seconds(median(timed.map(({ measured }) => measured.cpuMs))),
    serverCpuMs.length === 0 ? '-' : seconds(median(serverCpuMs)),
    megabytes(median(timed.map(({ measured }) => measured.peakBytes))),
    ...(traffic === undefined
      ? ['-', '-', '-']
      : [String(traffic.requests), small(traffic.sentBytes), small(traffic.receivedBytes)]),
  ];
}

function holdTable(holds: readonly Hold[]): string {
  const rows = holds.map((hold) => [
    hold.extraFiles.toLocaleString('en'),
    spread(hold.holdsMs),
    ((median(hold.holdsMs) * 500e6) / hold.storeBytes).toFixed(0),
    spread(hold.backupsMs),
    spread(hold.slowestWritesMs),
    hold.slowestWriteWithoutBackupMs.toFixed(0),
    `${hold.writes.toLocaleString('en')}, ${hold.failedWrites} failed`,
  ]);
  return table(
    [
      'other files',
      'longest hold ms',
      'per 500 MB of store',
      'backup ms',
      'slowest write ms',
      'without a backup ms',
      'writes',
    ],
    rows,
  );
}

const spread = (values: readonly number[]): string =>
  `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)} - ${Math.max(...values).toFixed(0)})`;

const small = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 10e6 ? 2 : 0);
