import { html } from './html.ts';
import type { Html } from './html.ts';

/** A share from 0 to 1 as a bar; drawn, since the page allows no style of single elements. */
export function bar(share: number, label: string, kind: 'plain' | 'tone' | 'bad' = 'plain'): Html {
  const width = Math.round(Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0)) * 1000);
  return html`<svg
    class="bar ${kind}"
    viewBox="0 0 1000 10"
    preserveAspectRatio="none"
    role="img"
    aria-label="${label}"
  >
    <rect class="track" width="1000" height="10" />
    <rect class="fill" width="${width}" height="10" />
  </svg>`;
}
