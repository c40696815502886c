import { operationNames } from '../../report/daemon-events.ts';
import type { DaemonStatus } from '../../api/daemon-status.ts';
import { isFailing } from '../readiness.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { ago, clockTime, timeTag } from './times.ts';

/** What to type after hosts have diverged. */
export function divergenceSection({ tips, history }: DaemonStatus): Html | null {
  if (tips.length < 2) return null;
  const lines = tips.map((tip) => {
    const host = history?.snapshots.find(({ id }) => id === tip)?.host;
    return html`<li><code>${tip}</code>${host === undefined ? '' : ` by ${host}`}</li>`;
  });
  const [a = '', b = ''] = tips.slice(-2).map(typable);
  return html`<section class="panel split" aria-labelledby="divergence">
    <h2 id="divergence">Which line of snapshots continues?</h2>
    <p>
      Two hosts continued from the same snapshot, or a store was restored while another host still wrote to
      its own. Each of these snapshots has changes that the others lack:
    </p>
    <ul>
      ${lines}
    </ul>
    <p>Compare them, and look inside one without changing the store:</p>
    <pre><code>sync-agent diff ${a} ${b}
sync-agent restore --snapshot ${a} --to ./look</code></pre>
    <p>
      On the host whose changes are given up, stop the application and restore the other line. Then settle the
      tip that is not wanted. It stays in the remote until rotation removes it:
    </p>
    <pre><code>sync-agent restore --snapshot ${b}
sync-agent prune --resolve ${a}</code></pre>
  </section>`;
}

/** The page shows commands to copy. An id goes into them only if a shell reads it as a single word. */
const typable = (id: string): string => (/^[\w.:-]+$/.test(id) ? id : 'SNAPSHOT');

/** The problems in the newest snapshot: those that put no record at risk, or damage that a person accepted. */
export function findingsSection({ history }: DaemonStatus): Html | null {
  const newest = history?.snapshots.at(-1);
  if (newest === undefined || (newest.damaged !== true && newest.findings === undefined)) return null;
  const { findings = 0 } = newest;
  return html`<section class="panel">
    <h2>
      ${newest.damaged === true ? 'The newest snapshot is of a damaged store' : 'Problems in the store'}
    </h2>
    <p>
      ${
        newest.damaged === true
          ? 'A person insisted on it. It is restored only if it is named.'
          : `${findings === 1 ? 'There is one problem' : `There are ${findings} problems`}, but no record is at risk.`
      }
      This command shows ${findings === 1 ? 'it, and how to fix it' : 'the problems, and how to fix them'}:
    </p>
    <pre><code>sync-agent show latest</code></pre>
  </section>`;
}

/** What the last check of the store found, if it is not sound or its server fails. */
export function damageSection({ check }: DaemonStatus, nowMs: number): Html | null {
  if (check === null) return null;
  const problems = [...check.damage, ...(check.server?.problems ?? [])];
  if (problems.length === 0) return null;
  return html`<section class="panel">
    <h2>${check.isSound ? 'The server of the store fails' : 'The store is damaged'}</h2>
    <p>
      Checked ${timeTag(check.atMs, ago(nowMs, check.atMs))}
      <span class="utc">${clockTime(nowMs, check.atMs)}</span>
    </p>
    <ul>
      ${problems.map((message) => html`<li class="message">${message}</li>`)}
    </ul>
    <p>This command says what each problem concerns, and what mends it:</p>
    <pre><code>sync-agent check</code></pre>
  </section>`;
}

/** The last failure, unless the headline already shows it. */
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
