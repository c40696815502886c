import { assertExclusionsFitStore } from '../../../stores/content/exclusions-fit.ts';
import { noExclusions } from '../../../stores/content/exclusions.ts';
import { scanStore } from '../../../stores/content/scan.ts';
import type { LeftAlone } from '../../../stores/content/scan.ts';
import type { Check, Finding } from '../check.ts';

/** What in the store is no content: by the user's patterns, and by itself. Nothing is said when there is neither. */
export const exclusionsCheck: Check = {
  name: 'exclude',
  find: async ({ home, detectAdapter }) => {
    const { store, exclude = noExclusions } = home;
    await assertExclusionsFitStore(store, { detectAdapter, exclude });
    const { leftAlone } = await scanStore(store, exclude).catch(() => ({ leftAlone: [] }));
    const foreign = leftAlone.filter(({ pattern }) => pattern === undefined);
    const others: Finding = {
      name: 'left alone',
      status: 'ok',
      detail: `${namesOf(foreign)}: not the store's own`,
    };
    return [
      ...exclude.map((pattern): Finding => ({ status: 'ok', detail: describePattern(pattern, leftAlone) })),
      ...(foreign.length === 0 ? [] : [others]),
    ];
  },
};

function describePattern(pattern: string, leftAlone: readonly LeftAlone[]): string {
  // A directory that holds nothing else is named besides its entries.
  const matched = leftAlone.filter(
    (each) => each.pattern === pattern && !leftAlone.some(({ path }) => path.startsWith(`${each.path}/`)),
  );
  const detail = matched.length === 0 ? 'matches nothing at present' : `leaves alone ${namesOf(matched)}`;
  return `"${pattern}" ${pattern.startsWith('!') ? 'keeps what it matches' : detail}`;
}

function namesOf(entries: readonly LeftAlone[]): string {
  const shown = entries.slice(0, 3).map(({ path }) => `"${path}"`);
  return `${shown.join(', ')}${entries.length > shown.length ? ` and ${entries.length - shown.length} more` : ''}`;
}
