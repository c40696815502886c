import type { RepairedStep, StoreRepairResult } from '../../engine/mending/repair-store.ts';
import type { Problem } from '../../stores/adapter.ts';
import type { WithheldStep } from '../../stores/mending.ts';
import { counted, printable } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

interface Printing {
  readonly style: Style;
  readonly commandLine: (words: string) => string;
}

/** Of a long list of lost records. The JSON result has all. */
const mostNamed = 20;

export function repairLines(result: StoreRepairResult, { style, commandLine }: Printing): readonly string[] {
  const { type, steps, withheld, left, findings, isPartial, isSound, records, rollbackCopy } = result;
  return [
    headline(result, style),
    ...steps.flatMap(stepLines),
    ...(isPartial && type === 'planned' ? ['  the rest shows only once the indexes are whole'] : []),
    ...withheld.flatMap(withheldLines),
    ...left.flatMap((problem) => problemLines(style.red('damaged:'), problem)),
    ...(type === 'planned' ? [] : findings.flatMap((problem) => problemLines('finding:', problem))),
    ...(type === 'repaired'
      ? [`  ${isSound ? 'sound now' : 'not sound yet'}, with ${counted(records, 'record')}`]
      : []),
    ...(rollbackCopy === undefined
      ? []
      : [`  the store as it was is kept; to go back: ${commandLine(`rollback ${rollbackCopy}`)}`]),
  ];
}

function headline({ type, isSound }: StoreRepairResult, style: Style): string {
  switch (type) {
    case 'nothing-to-do':
      return isSound ? 'Nothing to repair: the store is sound' : style.red('Nothing was repaired');
    case 'planned':
      return 'Would repair the store:';
    case 'repaired':
      return `${style.green('Repaired')} the store:`;
    case 'failed':
      return `${style.red('Nothing was repaired')}, and the store is as it was:`;
    default:
      return type satisfies never;
  }
}

function stepLines({ message, outcome, why, losses }: RepairedStep): readonly string[] {
  const mark = { planned: 'would:', done: 'done:', failed: 'failed:' }[outcome];
  return [
    `  ${mark} ${printable(message)}`,
    ...(why === undefined ? [] : [`    ${printable(why)}`]),
    ...lossLines(losses),
  ];
}

function withheldLines({ message, needs, losses }: WithheldStep): readonly string[] {
  return [`  with --${needs}: ${printable(message)}`, ...lossLines(losses)];
}

function lossLines(losses: RepairedStep['losses']): readonly string[] {
  if (losses.length === 0) return [];
  const rest = losses.length - mostNamed;
  return [
    ...losses
      .slice(0, mostNamed)
      .map(
        ({ id, collection, missing }) =>
          `    lost: ${printable(JSON.stringify(id))} of "${printable(collection)}": its ${missing} is nowhere any more`,
      ),
    ...(rest > 0 ? [`    and ${rest} more, which --json names`] : []),
  ];
}

function problemLines(title: string, { message, remedy }: Problem): readonly string[] {
  return [`  ${title} ${printable(message)}`, ...(remedy === undefined ? [] : [`    ${printable(remedy)}`])];
}
