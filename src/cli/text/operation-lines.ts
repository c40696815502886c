import type { OperationRecord } from '../../home/operations/records.ts';
import { formatDuration, formatUtc, printable, table } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

/** A table of operations, and below it the errors and what was killed. */
export function operationLines(records: readonly OperationRecord[], style: Style): readonly string[] {
  if (records.length === 0) return ['No operation is in the log'];
  const [header = '', ...lines] = table(
    [
      { title: 'BEGUN' },
      { title: 'OPERATION' },
      { title: 'OUTCOME' },
      { title: 'TOOK', align: 'right' },
      { title: 'STORE BEFORE' },
      { title: 'AND AFTER' },
      { title: 'BY' },
    ],
    records.map((each) => [
      formatUtc(Date.parse(each.beganAt)),
      printable(nameOf(each)),
      printable(outcomeOf(each)),
      each.tookMs === null || each.state === 'open' ? '' : formatDuration(each.tookMs),
      each.before ?? '-',
      each.after ?? '-',
      printable(whoOf(each)),
    ]),
  );
  return [
    style.bold(header),
    ...records.flatMap((each, index) => [lines[index] ?? '', ...notesOf(each, style)]),
  ];
}

const nameOf = ({ operation, name }: OperationRecord): string =>
  name === undefined ? operation : `${operation} ${name}`;

/** As people call what became of an operation. */
function outcomeOf({ state, outcome, error }: OperationRecord): string {
  if (state === 'done') return outcome ?? 'done';
  return state === 'failed' ? (error?.code ?? 'failed') : state;
}

const whoOf = ({ user, host, pid, program }: OperationRecord): string =>
  pid === null ? '' : `${program} (pid ${pid}), ${user}@${host}`;

function notesOf(
  { state, error, dropped, droppedCount, unusual = [] }: OperationRecord,
  style: Style,
): readonly string[] {
  return [
    ...(state === 'open'
      ? [style.yellow('  did not finish: it was killed, or runs where this process cannot see it')]
      : []),
    ...unusual.map((each) => style.yellow(`  ${printable(each)}`)),
    ...(error === undefined ? [] : [style.red(`  ${printable(error.message)}`)]),
    ...(dropped === undefined
      ? []
      : [style.dim(`  dropped ${droppedCount ?? dropped.length}: ${dropped.join(', ')}`)]),
  ];
}
