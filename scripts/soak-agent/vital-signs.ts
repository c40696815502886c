import { readFile, readdir } from 'node:fs/promises';

/** A process as /proc shows it. */
export interface VitalSigns {
  readonly atMs: number;
  readonly rssBytes: number;
  readonly descriptors: number;
  readonly children: readonly number[];
  /** Children that have ended and that nobody waited for. */
  readonly zombies: readonly number[];
}

/** Undefined when there is no such process. Linux only. */
export async function vitalSigns(pid: number): Promise<VitalSigns | undefined> {
  try {
    const [status, descriptors, children] = await Promise.all([
      readFile(`/proc/${pid}/status`, 'utf8'),
      readdir(`/proc/${pid}/fd`),
      childrenOf(pid),
    ]);
    const rssKib = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN);
    if (!Number.isFinite(rssKib)) return undefined;
    const states = await Promise.all(children.map(stateOf));
    return {
      atMs: Date.now(),
      rssBytes: rssKib * 1024,
      descriptors: descriptors.length,
      children,
      zombies: children.filter((_, index) => states[index] === 'Z'),
    };
  } catch {
    return undefined;
  }
}

export async function childrenOf(pid: number): Promise<readonly number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  );
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
}

async function stateOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2)[0];
}

export interface Slope {
  readonly perHour: number;
  /** Standard error, as if samples were independent. */
  readonly error: number;
}

/** Least squares over (milliseconds, value). */
export function slopeOf(samples: readonly { readonly atMs: number; readonly value: number }[]): Slope {
  const count = samples.length;
  const mean = (pick: (sample: (typeof samples)[number]) => number): number =>
    samples.reduce((sum, sample) => sum + pick(sample), 0) / count;
  const [atMean, valueMean] = [mean(({ atMs }) => atMs), mean(({ value }) => value)];
  const spread = count * mean(({ atMs }) => (atMs - atMean) ** 2);
  const slope = (count * mean(({ atMs, value }) => (atMs - atMean) * (value - valueMean))) / spread;
  const rest = count * mean(({ atMs, value }) => (value - valueMean - slope * (atMs - atMean)) ** 2);
  const hourMs = 3_600_000;
  return { perHour: slope * hourMs, error: Math.sqrt(rest / Math.max(1, count - 2) / spread) * hourMs };
}
