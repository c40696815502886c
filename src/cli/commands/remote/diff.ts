import type { SnapshotDiff } from '../../../engine/history/history.ts';
import { formatBytes, formatCount, printable } from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import type { Command } from '../command.ts';
import { snapshotNames } from '../../text/snapshot-text.ts';

export const diffCommand: Command = {
  name: 'diff',
  describe: 'Show what changed from one snapshot to another',
  isQuery: true,
  positionals: [
    { name: 'from', describe: `Older snapshot: ${snapshotNames}`, isRequired: true },
    { name: 'to', describe: `Newer snapshot: ${snapshotNames}`, isRequired: true },
  ],
  run: async ({ agent, flags, signal, style }) => {
    const result = await agent.diff(flags.text('from') ?? '', flags.text('to') ?? '', { signal });
    return { result, lines: diffLines(result, style) };
  },
};

function diffLines(diff: SnapshotDiff, style: Style): readonly string[] {
  const signs = { added: style.green('+'), removed: style.red('-'), changed: style.yellow('~') };
  return [
    `${diff.from} -> ${diff.to}`,
    `  records  ${formatCount(diff.records.from)} -> ${formatCount(diff.records.to)}${difference(diff.records)}`,
    `  size     ${formatBytes(diff.bytes.from)} -> ${formatBytes(diff.bytes.to)}`,
    ...(diff.collections.length === 0 ? [] : ['Collections']),
    ...diff.collections.map(
      (each) =>
        `  ${printable(each.name)}: ${formatCount(each.from)} -> ${formatCount(each.to)} records${difference(each)}`,
    ),
    ...(diff.files.length === 0 ? ['No file differs'] : ['Files']),
    ...diff.files.map(
      (file) => `  ${signs[file.change]} ${printable(file.path)}  ${formatBytes(file.bytes)}`,
    ),
  ];
}

function difference({ from, to }: { readonly from: number; readonly to: number }): string {
  return from === to ? '' : ` (${to > from ? '+' : '-'}${formatCount(Math.abs(to - from))})`;
}
