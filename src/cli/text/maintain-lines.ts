import type { MaintainStoreResult } from '../../engine/mending/maintain-store.ts';
import { counted, facts, formatBytes } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

interface Printing {
  readonly style: Style;
  readonly commandLine: (words: string) => string;
}

export function maintainLines(
  result: MaintainStoreResult,
  { style, commandLine }: Printing,
): readonly string[] {
  if (result.type === 'planned') {
    const { bytes, freeBytes, slackBytes, purgeable, journalMode } = result;
    const certain = freeBytes + purgeable.bytes;
    return [
      `Would gain at least ${formatBytes(certain)}, and at most ${formatBytes(certain + slackBytes)}, of ${formatBytes(bytes)}:`,
      ...facts([
        ['unused pages', formatBytes(freeBytes)],
        ['room in used pages', formatBytes(slackBytes)],
        [
          'applied operations',
          `${counted(purgeable.operations, 'row')} of the queue, ${formatBytes(purgeable.bytes)}`,
        ],
        ['journal mode', journalMode],
      ]),
    ];
  }
  const { bytesBefore, bytesAfter, purgedOperations, records, journalMode, snapshot, rollbackCopy } = result;
  return [
    `${style.green('Maintained')} the store: ${gain(bytesBefore, bytesAfter)}`,
    ...facts([
      ['records', counted(records, 'record')],
      ['removed from the queue', counted(purgedOperations, 'applied operation')],
      ['journal mode', journalMode],
      ['as it was', `snapshot ${snapshot}`],
    ]),
    ...(rollbackCopy === undefined
      ? []
      : [`  the old files are kept, and use space; to go back: ${commandLine(`rollback ${rollbackCopy}`)}`]),
  ];
}

function gain(before: number, after: number): string {
  const sizes = `${formatBytes(before)} before, ${formatBytes(after)} now`;
  return after <= before ? `${formatBytes(before - after)} gained (${sizes})` : sizes;
}
