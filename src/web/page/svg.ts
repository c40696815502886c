import { html } from './html.ts';
import type { Html } from './html.ts';
import type { Tone } from './summary.ts';

const shapes: Readonly<Record<Tone, Html>> = {
  good: html`<path d="M7 12.5l3.5 3.5L17 9" />`,
  busy: html`<path d="M12 16.5V8M8.5 11.2L12 7.7l3.5 3.5" />`,
  waiting: html`<path d="M12 7.5V12l3 2" />`,
  bad: html`<path d="M12 7v6M12 16.6v.1" />`,
  split: html`<path d="M12 17v-4L8 8M12 13l4-5" />`,
  calm: html`<path d="M8 12h8" />`,
};

export function toneIcon(tone: Tone): Html {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
    <circle cx="12" cy="12" r="11" />
    ${shapes[tone]}
  </svg>`;
}

const colours: Readonly<Record<Tone, string>> = {
  good: '1f8a56',
  busy: '2f74bd',
  waiting: 'b98312',
  bad: 'c8372d',
  split: '8a4fc4',
  calm: '7c8781',
};

/** A coloured dot in the browser's tab: it shows the state while another page is open. */
export function faviconOf(tone: Tone): string {
  const svg = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='#${colours[tone]}'/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

/** A share from 0 to 1 as a bar. It is an SVG because the page's policy allows no style attributes. */
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
