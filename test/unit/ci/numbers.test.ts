import { describe, expect, it } from 'vitest';
import { readDocument } from '../../support/documents.ts';

const script = readDocument('.ci/run');

/** The number behind each variable of the tests, in one of the two measures of `.ci/run`. */
function numbersOf(measure: string): Readonly<Record<string, number>> {
  const line = script.split('\n').find((each) => each.startsWith(`${measure})`)) ?? '';
  const numbers = new Map(
    [...line.matchAll(/(\w+)=(\d+)/g)].map(([, name, number]) => [name, Number(number)]),
  );
  const uses = [...script.matchAll(/(SYNC_AGENT_TEST_\w+)=\$([a-z]\w*)/g)];
  return Object.fromEntries(uses.map(([, variable = '', name]) => [variable, numbers.get(name) ?? 0]));
}

describe('docs/reliability.md', () => {
  const rows = readDocument('docs/reliability.md')
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim().replaceAll(/[`,]/g, '')))
    .filter((cells) => cells[5]?.startsWith('SYNC_AGENT_TEST_') === true && /^\d+$/.test(cells[3] ?? ''));
  const column = (index: number): Readonly<Record<string, number>> =>
    Object.fromEntries(rows.map((cells) => [cells[5] ?? '', Number(cells[index])]));

  it('has the numbers of .ci/run', () => {
    expect(column(3)).toEqual(numbersOf("''"));
    expect(column(4)).toEqual(numbersOf('--nightly'));
    expect(rows).toHaveLength(7);
  });
});
