import { counted, formatBytes, formatDuration } from '../../report/format.ts';
import type { DaemonStatus } from '../../api/daemon-status.ts';
import type { DiskFacts } from '../disk-facts.ts';
import { bar } from './svg.ts';
import { html } from './html.ts';
import type { Html, HtmlValue } from './html.ts';
import { ago, clockTime, shortDuration, timeTag } from './times.ts';

/** With a smaller share of free space, a restore or a capture may run out of space. */
const scarceShare = 0.1;

/** The store, its remote and its disk. */
export function placeSection(status: DaemonStatus, facts: DiskFacts | null, nowMs: number): Html {
  const { store, remote, detection, lastSuccessAtMs } = status;
  return html`<div class="columns">
    <section class="panel">
      <h2>Store and remote</h2>
      <dl>
        ${entry('Store', html`<code>${store}</code>`)} ${entry('Size', sizeOf(facts))}
        ${entry('In use by', memoryOf(facts))} ${entry('Remote', html`<code>${remote}</code>`)}
        ${entry('Saved', savedText(status))}
        ${entry('Last success', lastSuccessAtMs === null ? 'none yet' : moment(lastSuccessAtMs, nowMs))}
        ${copyOf(status, nowMs)} ${entry('Last drill', drillOf(facts, nowMs))}
        ${entry('Changes seen by', detection === 'events' ? 'file system events' : 'regular checks of all files')}
      </dl>
    </section>
    <section class="panel">
      <h2>Disk</h2>
      ${diskPart(facts)}${rollbackPart(facts)}
    </section>
  </div>`;
}

function savedText({ cron, intervalMs, log }: DaemonStatus): string {
  const snapshots = cron === null ? `within ${shortDuration(intervalMs)} of a change` : `at ${cron}`;
  return log === null
    ? snapshots
    : `each write within ${formatDuration(log.intervalMs)}; a snapshot ${snapshots}`;
}

const entry = (name: string, value: HtmlValue): Html =>
  html`<dt>${name}</dt>
    <dd>${value}</dd>`;

const moment = (atMs: number, nowMs: number): Html =>
  html`${timeTag(atMs, ago(nowMs, atMs))} <span class="utc">${clockTime(nowMs, atMs)}</span>`;

function sizeOf(facts: DiskFacts | null): string {
  if (facts?.store === undefined || facts.store === null)
    return 'unknown: there is no store, or it cannot be read';
  return `${formatBytes(facts.store.bytes)} in ${counted(facts.store.files, 'file')}`;
}

/** Nothing without a second remote. */
function copyOf({ copy }: DaemonStatus, nowMs: number): HtmlValue {
  if (copy === null) return null;
  const { to, snapshot, lastSuccessAtMs, failures, lastError } = copy;
  const success =
    lastSuccessAtMs === null
      ? 'none yet'
      : html`<code>${to}</code> had <code>${snapshot}</code> ${moment(lastSuccessAtMs, nowMs)}`;
  const failure =
    failures === 0 ? null : html`; then ${counted(failures, 'failure')}: ${lastError?.message ?? ''}`;
  return entry('Second remote', html`${success}${failure}`);
}

function drillOf(facts: DiskFacts | null, nowMs: number): HtmlValue {
  const last = facts?.drill?.last;
  if (last === undefined) return 'none yet: "sync-agent drill" proves that a snapshot restores';
  return html`${last.passed ? 'passed' : 'failed'} ${moment(last.atMs, nowMs)}`;
}

function memoryOf(facts: DiskFacts | null): string {
  const bytes = facts?.usersMemoryBytes ?? null;
  return bytes === null ? 'nobody that can be seen' : `programs with ${formatBytes(bytes)} of memory`;
}

function diskPart(facts: DiskFacts | null): Html {
  const disk = facts?.disk ?? null;
  if (disk === null) return html`<p class="note">The disk cannot be read.</p>`;
  const { freeBytes, totalBytes } = disk;
  const free = totalBytes > 0 ? freeBytes / totalBytes : 0;
  const label = `${formatBytes(freeBytes)} free of ${formatBytes(totalBytes)}`;
  return html`<p>${label}</p>
    ${bar(1 - free, label, free < scarceShare ? 'bad' : 'plain')}`;
}

function rollbackPart(facts: DiskFacts | null): Html {
  const copies = facts?.rollbackCopies ?? null;
  if (copies === null) return html`<p class="note">Rollback copies cannot be read.</p>`;
  if (copies.length === 0)
    return html`<p class="note">No rollback copies: no restore has replaced this store.</p>`;
  const items = copies
    .toReversed()
    .map(({ name, bytes }) => html`<li><code>${name}</code> <span>${formatBytes(bytes)}</span></li>`);
  return html`<h3>Rollback copies</h3>
    <ul class="copies">
      ${items}
    </ul>
    <p class="note"><code>sync-agent rollback</code> puts one back.</p>`;
}
