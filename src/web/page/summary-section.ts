import { html } from './html.ts';
import type { Html, HtmlValue } from './html.ts';
import { toneIcon } from './svg.ts';
import type { Summary } from './summary.ts';

/** The top of the page: the headline, with its details and what to do. */
export function summarySection({ tone, headline, detail, remedy }: Summary): Html {
  return html`<section class="summary" role="status">
    ${toneIcon(tone)}
    <div>
      <h1>${keepWordsTogether(headline)}</h1>
      ${detail === null ? null : html`<p>${detail}</p>`}
      ${remedy === null ? null : html`<p class="remedy">${remedy}</p>`}
    </div>
  </section>`;
}

/** Keeps short words with hyphens, such as host names, on one line. A long one may still break on a phone. */
function keepWordsTogether(headline: string): readonly HtmlValue[] {
  return headline
    .split(/(\s+)/)
    .map((word) =>
      /^\S*-\S*$/.test(word) && word.length <= 20 ? html`<span class="word">${word}</span>` : word,
    );
}
