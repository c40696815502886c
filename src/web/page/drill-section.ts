import type { DiskFacts } from '../disk-facts.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { ago, clockTime, timeTag } from './times.ts';

/** What the last drill found, if it failed. */
export function drillSection(facts: DiskFacts | null, nowMs: number): Html | null {
  const drill = facts?.drill ?? null;
  if (drill === null || drill.last.passed) return null;
  const { last, passedAtMs } = drill;
  return html`<section class="panel">
    <h2>A snapshot does not restore as it should</h2>
    <p>
      Drilled ${timeTag(last.atMs, ago(nowMs, last.atMs))}
      <span class="utc">${clockTime(nowMs, last.atMs)}</span
      >${last.snapshot === null ? '' : html`: <code>${last.snapshot}</code>`}.
      ${passedAtMs === null ? 'No drill on this host has passed yet.' : html`The last one that passed: ${timeTag(passedAtMs, ago(nowMs, passedAtMs))}.`}
    </p>
    <ul>
      ${last.problems.map((message) => html`<li class="message">${message}</li>`)}
    </ul>
    ${last.recovery === null ? null : html`<p class="remedy">${last.recovery}</p>`}
    <p>This command tries it again, and says what each step found:</p>
    <pre><code>sync-agent drill</code></pre>
  </section>`;
}
