import { html } from './html.ts';
import type { Html, HtmlValue } from './html.ts';
import { toneIcon } from './svg.ts';
import type { Summary } from './summary.ts';

/** The sentence that a person came for. */
export function summarySection({ tone, headline, detail, remedy }: Summary): Html {
  return html`<section class="summary" role="status">
    ${toneIcon(tone)}
    <div>
      <h1>${words(headline)}</h1>
      ${detail === null ? null : html`<p>${detail}</p>`}
      ${remedy === null ? null : html`<p class="remedy">${remedy}</p>`}
    </div>
  </section>`;
}

/** Names of hosts are not torn apart at their hyphens, if they are short enough for a phone. */
function words(headline: string): readonly HtmlValue[] {
  return headline
    .split(/(\s+)/)
    .map((word) =>
      /^\S*-\S*$/.test(word) && word.length <= 20 ? html`<span class="word">${word}</span>` : word,
    );
}
