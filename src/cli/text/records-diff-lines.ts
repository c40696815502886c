import type { CollectionDiff, RecordsDiff } from '../../engine/records/diff-records.ts';
import { formatCount, printable } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

/** More are in the JSON result. */
const shownIds = 20;

export function recordsDiffLines({ from, to, collections }: RecordsDiff, style: Style): readonly string[] {
  return [
    `${printable(from)} -> ${printable(to)}`,
    ...(collections.length === 0 ? ['No record differs'] : []),
    ...collections.flatMap((each) => collectionLines(each, style)),
  ];
}

function collectionLines(
  { name, tenant, database, change, added, removed, changed }: CollectionDiff,
  style: Style,
): readonly string[] {
  const place = [tenant, database, name].map(printable).join('/');
  const whole = change === 'changed' ? '' : `, the whole collection was ${change}`;
  const counts = `${formatCount(added.length)} added, ${formatCount(removed.length)} removed, ${formatCount(changed.length)} changed`;
  const rows = [
    ...added.map((id) => `  ${style.green('+')} ${shown(id)}`),
    ...removed.map((id) => `  ${style.red('-')} ${shown(id)}`),
    ...changed.map(({ id, parts }) => `  ${style.yellow('~')} ${shown(id)}  ${parts.join(', ')}`),
  ];
  const more = rows.length - shownIds;
  return [
    `${place}: ${counts}${whole}`,
    ...rows.slice(0, shownIds),
    ...(more > 0 ? [`  and ${formatCount(more)} more`] : []),
  ];
}

const shown = (id: string): string => printable(JSON.stringify(id));
