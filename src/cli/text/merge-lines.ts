import type {
  MergeConflict,
  MergeResult,
  MergedCollection,
  ServerDifference,
} from '../../engine/merge/merge-result.ts';
import { formatCount, printable } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

/** More are in the JSON result. */
const shownIds = 20;

export function mergeLines(result: MergeResult, style: Style): readonly string[] {
  const { type, ours, theirs, base, collections, notes, problems, differences, snapshot } = result;
  const changed = collections.reduce((sum, { written, deleted }) => sum + written.length + deleted.length, 0);
  const at = base.operation === null ? '' : `, operation ${base.operation} of its log`;
  const what = {
    merged: `Merged: ${formatCount(changed)} records, each read back`,
    planned: `Dry run: ${formatCount(changed)} records would be written or deleted`,
    refused: 'Nothing was written',
  }[type];
  return [
    `A ${ours}, B ${theirs}, common position: ${base.snapshot}${at}`,
    ...(base.isExact
      ? []
      : ['The common position is not certain: all records that differ there are conflicts']),
    ...collections.flatMap((each) => collectionLines(each, style)),
    ...differences.flatMap((each) => differenceLines(each, style)),
    ...notes.map(printable),
    ...problems.map((each) => style.red(printable(each))),
    snapshot === null ? what : `${what}; before it: snapshot ${snapshot}`,
  ];
}

function collectionLines(each: MergedCollection, style: Style): readonly string[] {
  const { change, written, deleted, already, conflicts } = each;
  const counts = [
    ...(change === 'created' ? ['created'] : []),
    `${formatCount(written.length)} from B`,
    `${formatCount(deleted.length)} deleted`,
    ...(already > 0 ? [`${formatCount(already)} there already`] : []),
    ...(conflicts.length > 0 ? [`${formatCount(conflicts.length)} conflicts`] : []),
  ];
  return [
    `${placeText(each)}: ${counts.join(', ')}`,
    ...some(conflicts, (conflict) => conflictLine(conflict, style)),
    ...some(written, (id) => `  ${style.green('+')} ${shown(id)}`),
    ...some(deleted, (id) => `  ${style.red('-')} ${shown(id)}`),
  ];
}

function conflictLine({ id, ours, theirs, parts, taken, times }: MergeConflict, style: Style): string {
  const sides = `A ${ours}${times === undefined ? '' : ` ${times.ours}`}, B ${theirs}${times === undefined ? '' : ` ${times.theirs}`}`;
  const differ = parts.length === 0 ? '' : ` (${parts.join(', ')})`;
  return `  ${style.yellow('!')} ${shown(id)}  ${sides}${differ}${taken === null ? '' : `: that of ${taken}`}`;
}

function differenceLines(each: ServerDifference, style: Style): readonly string[] {
  const what = {
    missing: 'the server does not have it',
    extra: 'only the server has it',
    changed: `${formatCount(each.ids.length)} records of the server are not those of A`,
  }[each.change];
  return [`${placeText(each)}: ${what}`, ...some(each.ids, (id) => `  ${style.yellow('?')} ${shown(id)}`)];
}

function some<T>(all: readonly T[], line: (each: T) => string): readonly string[] {
  const more = all.length - shownIds;
  return [...all.slice(0, shownIds).map(line), ...(more > 0 ? [`  and ${formatCount(more)} more`] : [])];
}

const placeText = ({ tenant, database, name }: MergedCollection | ServerDifference): string =>
  [tenant, database, name].map(printable).join('/');
const shown = (id: string): string => printable(JSON.stringify(id));
