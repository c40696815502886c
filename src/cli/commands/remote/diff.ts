import type { SnapshotDiff } from '../../../engine/history/history.ts';
import { formatBytes, formatCount, printable } from '../../../report/format.ts';
import { SyncAgentError } from '../../../platform/errors.ts';
import type { Style } from '../../../report/style.ts';
import type { Command } from '../command.ts';
import { sourceNamed } from '../../source-argument.ts';
import { recordsDiffLines } from '../../text/records-diff-lines.ts';
import { snapshotNames } from '../../text/snapshot-text.ts';

export const diffCommand: Command = {
  name: 'diff',
  describe: 'Show what changed from one snapshot to another',
  isQuery: true,
  positionals: [
    { name: 'from', describe: `Older snapshot: ${snapshotNames}`, isRequired: true },
    { name: 'to', describe: `Newer snapshot: ${snapshotNames}`, isRequired: false },
  ],
  options: {
    records: {
      type: 'boolean',
      describe: 'Compare single records; FROM and TO may be directories, and TO is the store by default',
    },
    collection: {
      type: 'string',
      describe: 'With --records: only this collection. May be repeated',
      isList: true,
    },
  },
  needsRemote: (flags) =>
    !flags.has('records') ||
    ['from', 'to'].some((name) => sourceNamed(flags.text(name)).snapshot !== undefined),
  run: async ({ agent, flags, signal, style }) => {
    const collections = flags.list('collection');
    if (flags.has('records')) {
      const [from, to] = [sourceNamed(flags.text('from')), sourceNamed(flags.text('to'))];
      const records = await agent.diffRecords(from, to, { collections, signal });
      return { result: records, lines: recordsDiffLines(records, style) };
    }
    if (collections.length > 0)
      throw new SyncAgentError('USAGE', 'Cannot use --collection without --records');
    if (flags.text('to') === undefined) {
      throw new SyncAgentError('USAGE', 'Cannot run "diff": it needs TO', {
        remedy: 'Name two snapshots, or add --records to compare a snapshot with the store',
      });
    }
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
