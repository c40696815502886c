import { cpus } from 'node:os';
import type { PartResult } from '../part.ts';

/** The kernel's own work for a busy tool, such as writing to disk, stays below this. */
const limit = 0.1;

export interface Quiet {
  /** The share of all processors that others used during the measured steps; undefined if there was none. */
  readonly othersShare: number | undefined;
  readonly isQuiet: boolean;
}

/** Whether the machine did little else while the tools were measured. */
export function judgeQuiet(results: readonly PartResult[]): Quiet {
  const samples = results.flatMap((result) => result.samples);
  const wallMs = sum(samples.map(({ measured }) => measured.wallMs));
  const othersMs = sum(samples.map(({ othersCpuMs }) => othersCpuMs));
  if (wallMs === 0) return { othersShare: undefined, isQuiet: false };
  const othersShare = othersMs / (wallMs * cpus().length);
  return { othersShare, isQuiet: othersShare <= limit };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
