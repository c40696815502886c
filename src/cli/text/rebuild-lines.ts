import type { RebuildResult } from '../../engine/rebuild/place-build.ts';
import { counted, facts, formatBytes } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

interface Printing {
  readonly style: Style;
  readonly commandLine: (words: string) => string;
}

export function rebuiltLines(
  { snapshot, files, bytes, bytesBefore, records, rollbackCopy }: RebuildResult,
  { style, commandLine }: Printing,
): readonly string[] {
  return [
    `${style.green('Rebuilt')} the store: ${formatBytes(bytes)} in ${counted(files, 'file')}, ${formatBytes(bytesBefore)} before`,
    ...facts([
      ['records', counted(records, 'record')],
      ['as it was', `snapshot ${snapshot}`],
    ]),
    ...(rollbackCopy === undefined
      ? []
      : [`  the old files are kept, and use space; to go back: ${commandLine(`rollback ${rollbackCopy}`)}`]),
  ];
}
