import { unsavedSince } from '../../../agent/continuous/log-status.ts';
import type { DaemonStatus, LogStatus } from '../../../api/daemon-status.ts';
import { counted, formatBytes, formatCount, formatDuration } from '../../../report/format.ts';
import { html } from '../html.ts';
import type { Html, HtmlValue } from '../html.ts';
import { ago, clockTime, timeTag } from '../times.ts';

/** The log of the store's own writes. Null without `--continuous`. */
export function logSection(status: DaemonStatus, nowMs: number): Html | null {
  const { log } = status;
  if (log === null) return null;
  const { snapshot, upTo, segments, operations, bytes, broken, trouble, gaps } = log;
  const moment = (atMs: number | null, none: string): HtmlValue =>
    atMs === null
      ? none
      : html`${timeTag(atMs, ago(nowMs, atMs))} <span class="utc">${clockTime(nowMs, atMs)}</span>`;
  return html`<section class="panel">
    <h2>Writes since the snapshot</h2>
    ${broken === null ? null : html`<p class="message">They cannot be saved one by one: ${broken.why}. A snapshot is needed.</p>`}
    ${trouble === null ? null : html`<p class="message">${trouble.message} <span class="mark">${trouble.code}</span></p>`}
    <dl>
      ${entry('Saved behind', snapshot === null ? 'no snapshot yet' : html`<code>${snapshot}</code>`)}
      ${entry('Up to', upTo === null ? 'nothing yet' : `operation ${formatCount(upTo)}`)}
      ${entry('Since it began', `${counted(operations, 'write')} in ${counted(segments, 'segment')}, ${formatBytes(bytes)}`)}
      ${entry('Last saved', moment(log.lastShippedAtMs, 'none yet'))}
      ${entry('Took', log.lagMs === null ? 'unknown' : `${formatDuration(log.lagMs)} from the write`)}
      ${entry('Oldest unsaved', moment(unsavedSince(status), 'none'))}
      ${entry('Gaps', gaps === 0 ? 'none' : `${counted(gaps, 'time')}: writes were gone before they were read`)}
      ${entry('Cost', costOf(log))}
    </dl>
  </section>`;
}

const entry = (name: string, value: HtmlValue): Html =>
  html`<dt>${name}</dt>
    <dd>${value}</dd>`;

function costOf({ requests }: LogStatus): string {
  const { bytesSent, bytesReceived, ...calls } = requests;
  const sum = Object.values(calls).reduce((total, each) => total + each, 0);
  return `${counted(sum, 'request')}, ${formatBytes(bytesSent)} sent, ${formatBytes(bytesReceived)} received`;
}
