import {
  counted,
  facts,
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  printable,
  table,
} from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import type { ShownSnapshot } from '../../../engine/history/history.ts';
import type { Command } from '../command.ts';
import { pinText, reachLine, snapshotNames } from '../../text/snapshot-text.ts';

export const showCommand: Command = {
  name: 'show',
  describe: 'Show the files, records and origin of a snapshot',
  isQuery: true,
  positionals: [{ name: 'snapshot', describe: `Snapshot to show: ${snapshotNames}`, isRequired: true }],
  run: async ({ agent, flags, signal, style }) => {
    const { log: _, ...manifest } = await agent.show(flags.text('snapshot') ?? 'latest', { signal });
    return { result: manifest, lines: showLines(manifest, style) };
  },
};

function showLines(manifest: Omit<ShownSnapshot, 'log'>, style: Style): readonly string[] {
  const { statistics, files, stall, pin, logReach } = manifest;
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  const shared = files.filter((file) => file.in !== undefined).length;
  return [
    `Snapshot ${style.bold(manifest.id)}`,
    ...facts([
      ...(manifest.label === undefined ? [] : [['label', printable(manifest.label)] as const]),
      ['generation', formatCount(manifest.generation)],
      ['taken', `${manifest.createdAt}, ${formatAge(Date.now() - Date.parse(manifest.createdAt))}`],
      ['parent', manifest.parent ?? 'none'],
      ['host', `${printable(manifest.host)} (${printable(manifest.agent)})`],
      ['kind', manifest.adapter],
      ['records', formatCount(statistics.records)],
      [
        'size',
        `${formatBytes(bytes)} in ${counted(files.length, 'file')}${shared === 0 ? '' : `, ${shared} of them shared`}`,
      ],
      ['writers', stall.heldMs === 0 ? 'not held back' : `held back for ${formatDuration(stall.heldMs)}`],
      ...(logReach === undefined ? [] : [['log', reachLine(logReach)] as const]),
      ...(pin === undefined
        ? []
        : [['kept', `${pinText(pin)} (${pin.at}, ${printable(pin.host)})`] as const]),
    ]),
    ...problemLines('damaged', manifest.damage, style),
    ...problemLines('finding', manifest.findings, style),
    ...collectionLines(statistics.collections ?? [], style),
    '',
    ...bolden(
      style,
      table(
        [{ title: 'SIZE', align: 'right' }, { title: 'SHA-256' }, { title: 'FILE' }],
        files.map((file) => [formatBytes(file.size), file.sha256.slice(0, 12), printable(file.path)]),
      ),
    ),
  ];
}

function problemLines(title: string, problems: ShownSnapshot['findings'], style: Style): readonly string[] {
  return (problems ?? []).flatMap(({ message, remedy }) => [
    `  ${style.yellow(title)}  ${printable(message)}`,
    ...(remedy === undefined ? [] : [`           ${printable(remedy)}`]),
  ]);
}

function collectionLines(
  collections: NonNullable<ShownSnapshot['statistics']['collections']>,
  style: Style,
): readonly string[] {
  if (collections.length === 0) return [];
  const columns = [
    { title: 'RECORDS', align: 'right' },
    { title: 'DIM', align: 'right' },
    { title: 'COLLECTION' },
  ] as const;
  const rows = collections.map((each) => [
    formatCount(each.records),
    String(each.dimension ?? '-'),
    printable(each.name),
  ]);
  return ['', ...bolden(style, table(columns, rows))];
}

function bolden(style: Style, [header = '', ...lines]: readonly string[]): readonly string[] {
  return [style.bold(header), ...lines];
}
