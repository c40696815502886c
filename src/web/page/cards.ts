import { operationNames, reasonNames } from '../../report/daemon-events.ts';
import { phaseNames } from '../../report/events.ts';
import { counted, formatBytes, formatDuration } from '../../report/format.ts';
import { isLogWhole, unsavedSince } from '../../agent/continuous/log-status.ts';
import type { DaemonStatus } from '../../api/daemon-status.ts';
import { bar } from './svg.ts';
import { html } from './html.ts';
import type { Html, HtmlValue } from './html.ts';
import { ago, ahead, clockTime, shortDuration, timeTag } from './times.ts';

/** The three cards: what is at risk, when it is saved, and the snapshot of this store. */
export function cards(status: DaemonStatus, nowMs: number): Html {
  return html`<section class="cards" aria-label="At a glance">
    ${riskCard(status, nowMs)} ${nextCard(status, nowMs)} ${newestCard(status, nowMs)}
  </section>`;
}

function card(title: string, value: HtmlValue, ...rest: readonly HtmlValue[]): Html {
  return html`<div class="card">
    <h2>${title}</h2>
    <p class="value">${value}</p>
    ${rest}
  </div>`;
}

function riskCard(status: DaemonStatus, nowMs: number): Html {
  const { isOverdue, log } = status;
  const sinceMs = unsavedSince(status);
  const limitMs = isLogWhole(log) ? log.intervalMs : status.intervalMs;
  const age = sinceMs === null ? 0 : Math.max(0, nowMs - sinceMs);
  const limit = limitMs < 60_000 ? formatDuration(limitMs) : shortDuration(limitMs);
  const note =
    sinceMs === null
      ? html`Saved within ${limit} of a change`
      : html`of ${limit}, since ${timeTag(sinceMs, clockTime(nowMs, sinceMs))}`;
  return card(
    'Unsaved changes',
    sinceMs === null ? 'none' : shortDuration(age),
    bar(
      limitMs > 0 ? age / limitMs : 0,
      `${shortDuration(age)} of the interval of ${limit}`,
      isOverdue ? 'bad' : 'tone',
    ),
    html`<p class="note">${note}</p>`,
  );
}

function nextCard(status: DaemonStatus, nowMs: number): Html {
  const { nextBackupAtMs, nextBackupReason, running, cron } = status;
  if (nextBackupAtMs === null) {
    const note =
      running !== null
        ? 'Will be planned after this operation'
        : cron === null
          ? 'There is nothing to back up'
          : `Fixed times: ${cron}`;
    return card(
      'Next backup',
      running === null ? 'when needed' : 'not planned yet',
      html`<p class="note">${note}</p>`,
    );
  }
  const why = nextBackupReason === null ? '' : `, because ${reasonNames[nextBackupReason]}`;
  return card(
    'Next backup',
    timeTag(nextBackupAtMs, ahead(nowMs, nextBackupAtMs)),
    html`<p class="note">at ${clockTime(nowMs, nextBackupAtMs)}${why}</p>`,
  );
}

function newestCard({ lastSnapshot, history }: DaemonStatus, nowMs: number): Html {
  if (lastSnapshot === null) {
    return card(
      'Snapshot of this store',
      'none yet',
      html`<p class="note">The agent knows no snapshot of this store</p>`,
    );
  }
  const { id, createdAtMs } = lastSnapshot;
  const facts = history?.snapshots.find((each) => each.id === id);
  const content =
    facts === undefined ? null : html`${formatBytes(facts.bytes)}, ${counted(facts.records, 'record')}<br />`;
  return card(
    'Snapshot of this store',
    timeTag(createdAtMs, ago(nowMs, createdAtMs)),
    html`<p class="note">${content}<code>${id}</code></p>`,
  );
}

/** The running operation. Null if there is none. */
export function runningSection({ running }: DaemonStatus, nowMs: number): Html | null {
  if (running === null) return null;
  const { operation, reason, phase, done, total, startedAtMs } = running;
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const amounts =
    total > 0
      ? html`<p class="note">${formatBytes(done)} of ${formatBytes(total)}, ${Math.floor(share * 100)}%</p>`
      : null;
  return html`<section class="panel running" aria-label="Running now">
    <p>
      <strong>${operationNames[operation]}</strong> for
      ${shortDuration(Math.max(0, nowMs - startedAtMs))}${reason === null ? '' : `, because ${reasonNames[reason]}`}${phase === null ? '' : ` · ${phaseNames[phase]}`}
    </p>
    ${total > 0 ? bar(share, `${Math.floor(share * 100)}% of the phase`, 'tone') : null}${amounts}
  </section>`;
}
