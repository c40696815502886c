import type { CheckedProblem, CheckReport } from '../../engine/reading/check-store.ts';
import { counted, printable } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';
import type { ServerReport } from '../../stores/reading.ts';

/** Damage first, then findings, what a server said, and the verdict. */
export function checkLines(report: CheckReport, style: Style): readonly string[] {
  const { damage, findings, kind, records, server, source, snapshot, store } = report;
  const what = snapshot === null ? `"${printable(store)}"` : `Snapshot ${snapshot}`;
  const how = source === 'image' ? ', checked in a copy because it is in use' : '';
  const collections =
    report.collections.length === 0 ? '' : ` in ${counted(report.collections.length, 'collection')}`;
  return [
    ...damage.flatMap((problem) => problemLines(style.red('damage '), problem)),
    ...findings.flatMap((problem) => problemLines(style.yellow('finding'), problem)),
    ...(server === null ? [] : serverLines(server, style)),
    damage.length > 0
      ? style.red(`${what} is damaged: ${counted(damage.length, 'problem')}${how}`)
      : `${what} is sound: ${kind}, ${counted(records, 'record')}${collections}${how}`,
  ];
}

function problemLines(
  label: string,
  { message, affects, command, remedy }: CheckedProblem,
): readonly string[] {
  const { collections, records } = affects;
  const indent = ' '.repeat(9);
  const named = collections.slice(0, 5).map((name) => `"${printable(name)}"`);
  const more = collections.length > named.length ? ` and ${collections.length - named.length} more` : '';
  const count = records === null ? '' : ` with ${counted(records, 'record')}`;
  return [
    `${label}  ${printable(message)}`,
    ...(collections.length === 0 ? [] : [`${indent}concerns ${named.join(', ')}${more}${count}`]),
    ...(command === null ? [] : [`${indent}${verbOf(command)}: ${command}`]),
    ...(remedy === null || command !== null ? [] : [`${indent}${printable(remedy)}`]),
  ];
}

function serverLines(server: ServerReport, style: Style): readonly string[] {
  const ms = (value: number | null): string => (value === null ? '-' : `${value} ms`);
  return [
    `Server ${server.url}: version ${server.version ?? 'unknown'}, heartbeat ${ms(server.heartbeatMs)}`,
    ...server.collections.map(
      ({ name, records, countMs, getMs, queryMs }) =>
        `  ${printable(name)}: ${records === null ? 'no count' : counted(records, 'record')}, ` +
        `count ${ms(countMs)}, get ${ms(getMs)}, query ${ms(queryMs)}`,
    ),
    ...server.problems.map(({ message }) => `${style.red('server ')}  ${printable(message)}`),
  ];
}

/** An export mends nothing. */
const verbOf = (command: string): string =>
  command.startsWith('sync-agent export') ? 'save what is left' : 'mend it';
