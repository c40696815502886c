import { slopeOf } from './vital-signs.ts';
import type { VitalSigns } from './vital-signs.ts';

const warmUpMs = 60_000;
/** Several collections of garbage, between which resident memory rises by some 20 MiB and falls again. */
const binMs = 5 * 60_000;
/** Of fewer floors nothing can be said. */
const leastBins = 5;
const mib = 1024 ** 2;
/** More is a leak, if the noise allows to tell. */
const mostMibPerHour = 20;
const mostMib = 160;

export interface MemoryVerdict {
  readonly findings: readonly string[];
  readonly figures: Readonly<Record<string, number>>;
}

/** Resident memory may not exceed a ceiling, and its floors may not rise, where there are enough of them to tell. */
export function judgeMemory(
  signs: readonly Pick<VitalSigns, 'atMs' | 'rssBytes' | 'descriptors'>[],
): MemoryVerdict {
  const firstMs = signs[0]?.atMs ?? 0;
  const warm = signs.filter(({ atMs }) => atMs - firstMs >= warmUpMs);
  const [earliest, latest] = [warm[0], warm.at(-1)];
  if (earliest === undefined || latest === undefined)
    return { findings: [], figures: { 'agents watched': 0 } };
  const sizes = warm.map(({ rssBytes }) => rssBytes / mib);
  const descriptors = warm.map((sign) => sign.descriptors);
  const highest = Math.max(...sizes);
  const floors = floorsOf(
    warm.map(({ atMs, rssBytes }) => ({ atMs: atMs - earliest.atMs, value: rssBytes / mib })),
  );
  const figures = {
    'seconds watched after a minute of warm-up': Math.round((latest.atMs - earliest.atMs) / 1000),
    'MiB at least': rounded(Math.min(...sizes)),
    'MiB at most': rounded(highest),
    'descriptors at least': Math.min(...descriptors),
    'descriptors at most': Math.max(...descriptors),
  };
  const findings = highest > mostMib ? [`its memory came to ${highest.toFixed(1)} MiB`] : [];
  if (floors.length < leastBins) return { findings, figures };
  const { perHour, error } = slopeOf(floors);
  if (perHour - 2 * error > mostMibPerHour)
    findings.push(`its memory grows by ${perHour.toFixed(1)} ± ${error.toFixed(1)} MiB an hour`);
  const slope = {
    'MiB per hour, slope of floors': rounded(perHour),
    'MiB per hour, its standard error': rounded(error),
  };
  return { findings, figures: { ...figures, ...slope } };
}

interface Sample {
  readonly atMs: number;
  readonly value: number;
}

/** The lowest of each full bin. */
function floorsOf(samples: readonly Sample[]): readonly Sample[] {
  const bins: Sample[] = [];
  for (const sample of samples) {
    const bin = Math.floor(sample.atMs / binMs);
    const lowest = bins[bin];
    if (lowest === undefined || sample.value < lowest.value) bins[bin] = sample;
  }
  const isLastFull = (samples.at(-1)?.atMs ?? 0) >= (bins.length - 0.1) * binMs;
  return isLastFull ? bins.filter(Boolean) : bins.slice(0, -1).filter(Boolean);
}

const rounded = (value: number): number => Math.round(value * 10) / 10;
