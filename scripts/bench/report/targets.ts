import type { PartResult, Sample } from '../part.ts';
import { changedStep } from '../parts/changed.ts';
import { coldSteps } from '../parts/cold.ts';
import { copiedStep } from '../parts/copied.ts';
import { filesSteps } from '../parts/files.ts';
import { extraFileCounts } from '../parts/hold.ts';
import { shapedSteps } from '../parts/shaped.ts';
import { median, megabytes, seconds } from './markdown.ts';

/** One promise about speed, and how it was kept. */
export interface Judgement {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  readonly verdict: 'met' | 'missed' | 'not measured';
}

const agent = 'sync-agent';

export function judge(results: readonly PartResult[]): readonly Judgement[] {
  const wall = (step: string, tool: string = agent): number | undefined =>
    medianOf(results, { step, tool, value: ({ measured }) => measured.wallMs });
  const peak = (step: string): number | undefined =>
    medianOf(results, { step, tool: agent, value: ({ measured }) => measured.peakBytes });
  const versusRclone = (step: string, limit: number): Judgement =>
    ratio(step, { limit, other: 'rclone', mine: wall(step), others: wall(step, 'rclone') });
  const within = (step: string, limitMs: number): Judgement =>
    atMost(step, wall(step), { limit: limitMs, show: (ms) => `${seconds(ms)} s` });
  const memory = (step: string, limitBytes: number): Judgement =>
    atMost(`${step}: peak memory`, peak(step), {
      limit: limitBytes,
      show: (bytes) => `${megabytes(bytes)} MB`,
    });
  return [
    versusRclone(coldSteps.backup, 1.1),
    memory(coldSteps.backup, 150e6),
    versusRclone(changedStep('growing'), 1.1),
    versusRclone(changedStep('random'), 1.1),
    versusRclone(coldSteps.restore, 1.2),
    within(coldSteps.nothingToBackUp, 300),
    within(coldSteps.nothingToRestore, 300),
    ...(['-a', '-r'] as const).map((mode) =>
      ratio(copiedStep(mode), {
        limit: 1.1,
        other: 'a cold backup',
        mine: wall(copiedStep(mode)),
        others: wall(coldSteps.backup),
      }),
    ),
    within(filesSteps.backup, 60_000),
    memory(filesSteps.backup, 200e6),
    ...extraFileCounts.map((count) =>
      atMost(
        `writers held back per 500 MB, ${count.toLocaleString('en')} other files`,
        holdOf(results, count),
        { limit: 100, show: (ms) => `${ms.toFixed(0)} ms` },
      ),
    ),
    ratio(`the same, ${largestCount.toLocaleString('en')} other files`, {
      limit: 1.2,
      other: 'without other files',
      mine: holdOf(results, largestCount),
      others: holdOf(results, 0),
    }),
    ...Object.values(shapedSteps).map((step) => versusRclone(step, 1)),
  ];
}

const largestCount = Math.max(...extraFileCounts);

/** The median of the longest holds, as if the store had 500 MB. */
function holdOf(results: readonly PartResult[], count: number): number | undefined {
  const found = results.flatMap(({ holds }) => holds).find(({ extraFiles }) => extraFiles === count);
  return found === undefined ? undefined : (median(found.holdsMs) * 500e6) / found.storeBytes;
}

function medianOf(
  results: readonly PartResult[],
  {
    step,
    tool,
    value,
  }: {
    readonly step: string;
    readonly tool: string;
    readonly value: (sample: Sample) => number;
  },
): number | undefined {
  const values = results
    .flatMap(({ samples }) => samples)
    .filter((sample) => sample.step === step && sample.tool === tool && sample.traffic === undefined)
    .map(value);
  return values.length === 0 ? undefined : median(values);
}

function atMost(
  what: string,
  value: number | undefined,
  { limit, show }: { readonly limit: number; readonly show: (value: number) => string },
): Judgement {
  const target = `at most ${show(limit)}`;
  if (value === undefined) return { what, target, measured: '-', verdict: 'not measured' };
  return { what, target, measured: show(value), verdict: value <= limit ? 'met' : 'missed' };
}

function ratio(
  what: string,
  sides: {
    readonly limit: number;
    readonly other: string;
    readonly mine: number | undefined;
    readonly others: number | undefined;
  },
): Judgement {
  const { limit, other, mine, others } = sides;
  const value = mine === undefined || others === undefined ? undefined : mine / others;
  return atMost(what, value, {
    limit,
    show: (factor) => `${factor.toFixed(2)} x ${other}`,
  });
}
