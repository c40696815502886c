import { describeEvent } from '../../../report/daemon-events.ts';
import type { DaemonStatus, RecordedEvent } from '../../../api/daemon-status.ts';
import { html } from '../html.ts';
import type { Html } from '../html.ts';
import { ago, clockTime, timeTag } from '../times.ts';

const shown = 20;

/** The newest events, newest first. Steps within an operation are only in the log. */
export function eventsSection({ recentEvents }: DaemonStatus, nowMs: number): Html {
  const events = recentEvents.filter(({ event }) => describeEvent(event).level !== 'debug');
  const items = events.slice(-shown).toReversed();
  return html`<section class="panel">
    <h2>Recent events</h2>
    ${
      items.length === 0
        ? html`<p class="note">None yet.</p>`
        : html`<ol class="events">
            ${items.map((each) => item(each, nowMs))}
          </ol>`
    }
  </section>`;
}

function item({ atMs, event }: RecordedEvent, nowMs: number): Html {
  const { level, sentence } = describeEvent(event);
  const mark = level === 'error' || level === 'warn' ? html`<span class="sr">${level}: </span>` : null;
  return html`<li class="${level}">
    <span class="when"
      >${timeTag(atMs, ago(nowMs, atMs))} <span class="utc">${clockTime(nowMs, atMs)}</span></span
    ><span class="what">${mark}${sentence}</span>
  </li>`;
}
