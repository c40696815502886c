import { formatUtc } from '../../report/format.ts';
import type { DaemonStatus } from '../../api/daemon-status.ts';
import type { DiskFacts } from '../disk-facts.ts';
import { cards, runningSection } from './cards.ts';
import { logSection } from './continuous/log-section.ts';
import { eventsSection } from './recent/events-section.ts';
import { historySection } from './history-section.ts';
import { Html, html } from './html.ts';
import { faviconOf } from './svg.ts';
import { pageStyle } from './page-style.ts';
import { operationsSection } from './recent/operations-section.ts';
import { phasesSection } from './phases-section.ts';
import { placeSection } from './place-section.ts';
import { drillSection } from './drill-section.ts';
import { damageSection, divergenceSection, findingsSection, lastErrorSection } from './trouble-section.ts';
import { summarySection } from './summary-section.ts';
import { summaryOf } from './summary.ts';
import { shortDuration } from './times.ts';

export interface StatusPageOptions {
  /** Whether the page reloads itself every few seconds. */
  readonly refreshes?: boolean;
}

/** No blanks of this source may come between the tags: the security policy has the hash of exactly this text. */
const styleElement = new Html(`<style>${pageStyle}</style>`);
const busyRefreshSeconds = 2;
const calmRefreshSeconds = 10;

/** The whole page, without scripts. Everything in `status` may be hostile, and is escaped. */
export function statusPage(
  status: DaemonStatus,
  facts: DiskFacts | null,
  nowMs: number,
  { refreshes = true }: StatusPageOptions = {},
): string {
  const summary = summaryOf(status, nowMs);
  const seconds = status.running === null ? calmRefreshSeconds : busyRefreshSeconds;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        ${refreshes ? html`<meta http-equiv="refresh" content="${seconds}" />` : null}
        <title>${summary.headline} &middot; sync-agent</title>
        <link rel="icon" href="${faviconOf(summary.tone)}" />
        ${styleElement}
      </head>
      <body class="${summary.tone}">
        <header><span class="brand">sync-agent</span><span class="host">${status.host}</span></header>
        <main>
          ${summarySection(summary)} ${runningSection(status, nowMs)} ${cards(status, nowMs)}
          ${damageSection(status, nowMs)} ${divergenceSection(status)} ${lastErrorSection(status, nowMs)}
          ${drillSection(facts, nowMs)} ${findingsSection(status)} ${logSection(status, nowMs)}
          ${historySection(status, nowMs)} ${phasesSection(status)} ${placeSection(status, facts, nowMs)}
          ${operationsSection(facts, nowMs)} ${eventsSection(status, nowMs)}
        </main>
        <footer>
          <p>
            sync-agent ${status.version}, pid ${status.pid}, running for
            ${shortDuration(nowMs - status.startedAtMs)}
          </p>
          <p>
            As of ${formatUtc(nowMs)} &middot; ${refreshLink(refreshes, seconds)} &middot;
            <a href="/status.json">status.json</a> &middot; <a href="/metrics">metrics</a>
          </p>
        </footer>
      </body>
    </html> `.text;
}

/** A user who needs more time to read, or a screen reader, can stop the reloads. */
function refreshLink(refreshes: boolean, seconds: number): Html {
  return refreshes
    ? html`refreshed every ${seconds} s (<a href="/?refresh=off">stop</a>)`
    : html`not refreshed (<a href="/">start</a>)`;
}
