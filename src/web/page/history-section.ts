import { counted, formatBytes, formatCount } from '../../report/format.ts';
import type { SnapshotSummary } from '../../engine/history/history.ts';
import type { DaemonStatus } from '../../api/daemon-status.ts';
import { historyChart } from './history-chart.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { ago, shortDuration, timeTag } from './times.ts';

const charted = 60;
const listed = 6;

/** The snapshots in the remote. */
export function historySection(status: DaemonStatus, nowMs: number): Html {
  const { history, lastSnapshot } = status;
  // If there is one tip, it is the newest snapshot, and needs no mark.
  const tips = status.tips.length > 1 ? status.tips : [];
  if (history === null) {
    return html`<section class="panel">
      <h2>Snapshots</h2>
      <p class="note">The remote has not been asked yet.</p>
    </section>`;
  }
  const { snapshots, asOfMs } = history;
  const asOf = html`as of ${timeTag(asOfMs, ago(nowMs, asOfMs))}`;
  if (snapshots.length === 0) {
    return html`<section class="panel">
      <h2>Snapshots</h2>
      <p class="note">The remote has none, ${asOf}.</p>
    </section>`;
  }
  const shown = snapshots.slice(-charted);
  const bytes = snapshots.reduce((sum, each) => sum + each.bytes, 0);
  const [first] = shown;
  const firstMs = Date.parse(first?.createdAt ?? '');
  return html`<section class="panel">
    <h2>Snapshots</h2>
    <p class="note">
      ${counted(snapshots.length, 'snapshot')} in the remote, at most ${formatBytes(bytes)},
      ${asOf}${shown.length < snapshots.length ? `; the newest ${charted} are drawn` : ''}
    </p>
    <figure>
      ${historyChart(shown, { tips, ownId: lastSnapshot?.id }, nowMs)}
      <div class="axis">
        <span>${Number.isNaN(firstMs) ? '' : `${shortDuration(nowMs - firstMs)} ago`}</span><span>now</span>
      </div>
      <figcaption>${legend(shown, status)}</figcaption>
    </figure>
    <div class="scroll" role="region" aria-label="Newest snapshots" tabindex="0">
      <table>
        <thead>
          <tr>
            <th scope="col">Taken</th>
            <th scope="col" class="number">Size</th>
            <th scope="col" class="number">Records</th>
            <th scope="col">Host</th>
            <th scope="col">Snapshot</th>
          </tr>
        </thead>
        <tbody>
          ${snapshots
            .slice(-listed)
            .toReversed()
            .map((each) => row(each, status, nowMs))}
        </tbody>
      </table>
    </div>
    ${snapshots.length > listed ? html`<p class="note">The newest ${listed}; <code>sync-agent list</code> shows all.</p>` : null}
  </section>`;
}

function legend(shown: readonly SnapshotSummary[], { tips, lastSnapshot }: DaemonStatus): Html {
  const bytes = Math.max(...shown.map((each) => each.bytes));
  const records = Math.max(...shown.map((each) => each.records));
  const hasOwn = shown.some(({ id }) => id === lastSnapshot?.id && (tips.length < 2 || !tips.includes(id)));
  return html`${key('size', `size, up to ${formatBytes(bytes)}`)}
  ${records > 0 ? key('records', `records, up to ${formatCount(records)}`) : null}
  ${hasOwn ? key('own', 'the snapshot of this store') : null}
  ${tips.length > 1 ? key('tip', 'tip: no snapshot continues it') : null}`;
}

const key = (kind: string, label: string): Html => html`<span class="key ${kind}">${label}</span>`;

function row(snapshot: SnapshotSummary, { lastSnapshot, tips }: DaemonStatus, nowMs: number): Html {
  const { id, createdAt, bytes, records, host } = snapshot;
  const createdAtMs = Date.parse(createdAt);
  const marks = [
    ...(lastSnapshot?.id === id ? ['this store'] : []),
    ...(tips.length > 1 && tips.includes(id) ? ['tip'] : []),
    ...(snapshot.pin === undefined ? [] : ['pinned']),
  ];
  return html`<tr>
    <td>${timeTag(createdAtMs, ago(nowMs, createdAtMs))} ${marks.map(markTag)}</td>
    <td class="number">${formatBytes(bytes)}</td>
    <td class="number">${formatCount(records)}</td>
    <td class="host">${host}</td>
    <td><code>${id}</code></td>
  </tr>`;
}

const markTag = (mark: string): Html =>
  html`<span class="mark ${mark === 'tip' ? 'tip' : ''}">${mark}</span> `;
