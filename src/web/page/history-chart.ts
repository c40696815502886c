import { counted, formatBytes } from '../../report/format.ts';
import type { SnapshotSummary } from '../../engine/history/history.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';

const width = 1000;
const height = 160;
/** Space above the tallest bar, for marks. */
const head = 16;
const slotsAtLeast = 12;

export interface ChartMarks {
  /** Empty unless hosts have diverged. */
  readonly tips: readonly string[];
  /** The snapshot that this store made or was restored from. */
  readonly ownId: string | undefined;
}

/** A bar for the size of each snapshot, a line for their records, and below them a tick for the time of each. */
export function historyChart(
  snapshots: readonly SnapshotSummary[],
  { tips, ownId }: ChartMarks,
  nowMs: number,
): Html {
  const slot = width / Math.max(slotsAtLeast, snapshots.length);
  const most = { bytes: largest(snapshots, 'bytes'), records: largest(snapshots, 'records') };
  const y = (share: number): number => round(height - share * (height - head));
  const bars = snapshots.map((snapshot, index) => {
    const top = Math.min(y(snapshot.bytes / most.bytes), height - 2);
    const isTip = tips.includes(snapshot.id);
    const kind = isTip ? 'tip' : snapshot.id === ownId ? 'own' : 'older';
    return html`<rect
      class="${kind}"
      x="${round(index * slot + slot * 0.14)}"
      y="${top}"
      width="${round(slot * 0.72)}"
      height="${round(height - top)}"
      ><title>${barTitle(snapshot, isTip)}</title></rect
    >`;
  });
  const points = snapshots.map(({ records }, index) => [
    round((index + 0.5) * slot),
    y((records / most.records) * 0.94),
  ]);
  const line = points.map(([x, at], index) => `${index === 0 ? 'M' : 'L'}${x} ${at}`).join('');
  const dots = points.map(([x, at]) => `M${x} ${at}h0`).join('');
  const hasRecords = snapshots.some(({ records }) => records > 0);
  const newest = snapshots.at(-1);
  return html`<svg
      class="chart"
      viewBox="0 0 ${width} ${height}"
      preserveAspectRatio="none"
      role="img"
      aria-label="${counted(snapshots.length, 'snapshot')}, the newest of ${formatBytes(newest?.bytes ?? 0)} and ${counted(newest?.records ?? 0, 'record')}"
    >
      <path class="ground" d="M0 ${height}H${width}" />
      ${bars} ${hasRecords ? html`<path class="line" d="${line}" /><path class="dots" d="${dots}" />` : null}</svg
    >${timeTicks(snapshots, nowMs)}`;
}

/** A tick for each snapshot, in true distances of time, up to now. */
function timeTicks(snapshots: readonly SnapshotSummary[], nowMs: number): Html {
  const times = snapshots.map(({ createdAt }) => Date.parse(createdAt)).filter((time) => !Number.isNaN(time));
  const first = Math.min(...times);
  const span = Math.max(1, nowMs - first);
  const ticks = times.map((time) => {
    const x = round(Math.min(1, Math.max(0, (time - first) / span)) * (width - 2) + 1);
    return `M${x} 0V10`;
  });
  return html`<svg class="rhythm" viewBox="0 0 ${width} 10" preserveAspectRatio="none" aria-hidden="true">
    <path class="ground" d="M0 5H${width}" />
    <path class="ticks" d="${ticks.join('')}" />
  </svg>`;
}

function barTitle({ id, bytes, records, host }: SnapshotSummary, isTip: boolean): string {
  return `${id}: ${formatBytes(bytes)}, ${counted(records, 'record')}, by ${host}${isTip ? ' (tip)' : ''}`;
}

const largest = (snapshots: readonly SnapshotSummary[], member: 'bytes' | 'records'): number =>
  Math.max(1, ...snapshots.map((snapshot) => snapshot[member]));

const round = (number: number): number => Math.round(number * 10) / 10;
