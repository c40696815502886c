import type { DaemonStatus } from '../../api/daemon-status.ts';
import { phaseNames } from '../../report/events.ts';
import { formatBytes } from '../../report/format.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { shortDuration } from './times.ts';

/** Where the time of the last backup went. Null before there was one. */
export function phasesSection({ lastBackupPhases }: DaemonStatus): Html | null {
  if (lastBackupPhases.length === 0) return null;
  const rows = lastBackupPhases.map(
    ({ phase, tookMs, waitedMs, bytes }) =>
      html`<tr>
        <td>${phaseNames[phase]}</td>
        <td class="number">${duration(tookMs)}</td>
        <td class="number">${duration(waitedMs)}</td>
        <td class="number">${bytes === 0 ? '' : formatBytes(bytes)}</td>
      </tr>`,
  );
  return html`<section class="panel" aria-labelledby="phases">
    <h2 id="phases">Where the last backup spent its time</h2>
    <div class="scroll" role="region" aria-label="Phases" tabindex="0">
      <table>
        <thead>
          <tr>
            <th scope="col">Phase</th>
            <th scope="col" class="number">Took</th>
            <th scope="col" class="number">Alone</th>
            <th scope="col" class="number">Moved</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>
    <p class="note">Phases overlap. &ldquo;Alone&rdquo; is the time in which no other phase was under way.</p>
  </section>`;
}

const duration = (ms: number): string => (ms < 1000 ? `${ms} ms` : shortDuration(ms));
