import type { RecordProblem } from '../../engine/records/send-batch.ts';
import type { SentCollection } from '../../engine/records/send-records.ts';
import { formatCount, printable } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

/** More are in the JSON result. */
const shownProblems = 20;

/** What became of the records of one collection. */
export function sentLines(sent: SentCollection, style: Style, verb = 'Imported'): readonly string[] {
  const { name, tenant, database, added, equal, overwritten, problems, rounding } = sent;
  const place = [tenant, database, name].map(printable).join('/');
  const parts = [
    `${formatCount(added)} added`,
    ...(equal === 0 ? [] : [`${formatCount(equal)} were there already`]),
    ...(overwritten === 0 ? [] : [`${formatCount(overwritten)} replaced`]),
    ...(problems.length === 0 ? [] : [style.red(`${formatCount(problems.length)} left out`)]),
  ];
  return [
    `${style.green(verb)} ${place}: ${parts.join(', ')}; each was read back`,
    ...(rounding === 0
      ? []
      : [
          `  Vectors were normalised by the server: the largest difference is ${rounding.toExponential(1)} of a length`,
        ]),
    ...problemLines(problems),
  ];
}

function problemLines(problems: readonly RecordProblem[]): readonly string[] {
  const lines = problems.slice(0, shownProblems).map(({ where, id, message }) => {
    const what = id === null ? where : `${where}, record ${JSON.stringify(id)}`;
    return `  ${printable(what)}: ${printable(message)}`;
  });
  const more = problems.length - lines.length;
  return more === 0 ? lines : [...lines, `  and ${formatCount(more)} more`];
}
