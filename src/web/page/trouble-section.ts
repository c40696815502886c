import { operationNames } from '../../report/daemon-events.ts';
import type { DaemonStatus } from '../../api/daemon-status.ts';
import { isFailing } from '../readiness.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { ago, clockTime, timeTag } from './times.ts';

/** What to type when hosts wrote beside each other. */
export function divergenceSection({ tips, history }: DaemonStatus): Html | null {
  if (tips.length < 2) return null;
  const lines = tips.map((tip) => {
    const host = history?.snapshots.find(({ id }) => id === tip)?.host;
    return html`<li><code>${tip}</code>${host === undefined ? '' : ` by ${host}`}</li>`;
  });
  const [a = '', b = ''] = tips.slice(-2).map(typable);
  return html`<section class="panel split" aria-labelledby="divergence">
    <h2 id="divergence">Which line goes on?</h2>
    <p>
      Two hosts went on from the same snapshot, or a store was restored while another was still written. Each
      of these has something that the others lack:
    </p>
    <ul>
      ${lines}
    </ul>
    <p>See how they differ, and look inside one without touching the store:</p>
    <pre><code>sync-agent diff ${a} ${b}
sync-agent restore --snapshot ${a} --to ./look</code></pre>
    <p>
      On the host that gives way, stop the application and take over the other line. Then settle the tip that
      is not wanted; it stays in the remote until rotation takes it:
    </p>
    <pre><code>sync-agent restore --snapshot ${b}
sync-agent prune --resolve ${a}</code></pre>
  </section>`;
}

/** An id goes into a command to be copied only if no shell reads more than a word in it. */
const typable = (id: string): string => (/^[\w.:-]+$/.test(id) ? id : 'SNAPSHOT');

/** What the newest snapshot says was not as it should be, when no record was at risk or a person insisted. */
export function findingsSection({ history }: DaemonStatus): Html | null {
  const newest = history?.snapshots.at(-1);
  if (newest === undefined || (newest.damaged !== true && newest.findings === undefined)) return null;
  const { findings = 0 } = newest;
  return html`<section class="panel">
    <h2>${newest.damaged === true ? 'The newest snapshot is of a damaged store' : 'Worth mending'}</h2>
    <p>
      ${
        newest.damaged === true
          ? 'It was kept by a person’s word, and is restored only by its name.'
          : `${findings === 1 ? 'One thing is' : `${findings} things are`} not as it should be in the store. No record is at risk.`
      }
      This says what, and what mends it:
    </p>
    <pre><code>sync-agent show latest</code></pre>
  </section>`;
}

/** The last thing that failed, when the headline does not tell it already. */
export function lastErrorSection(status: DaemonStatus, nowMs: number): Html | null {
  const { lastError } = status;
  if (lastError === null || isFailing(status)) return null;
  const { atMs, operation, message, remedy, code } = lastError;
  return html`<section class="panel">
    <h2>Last failure</h2>
    <p>
      ${operationNames[operation]}, ${timeTag(atMs, ago(nowMs, atMs))}
      <span class="utc">${clockTime(nowMs, atMs)}</span> <span class="mark">${code}</span>
    </p>
    <p class="message">${message}</p>
    ${remedy === null ? null : html`<p class="remedy">${remedy}</p>`}
  </section>`;
}
