import type { ExportResult, ExportedLosses } from '../../../engine/records/export-to.ts';
import { SyncAgentError, exitCodes } from '../../../platform/errors.ts';
import { formatCount, printable, table } from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import { sourceNamed, sourceNames } from '../../source-argument.ts';
import type { Command } from '../command.ts';

export const exportCommand: Command = {
  name: 'export',
  describe: 'Write the records of a Chroma store, snapshot or server to JSON Lines files',
  isQuery: false,
  positionals: [{ name: 'source', describe: sourceNames, isRequired: false }],
  options: {
    to: { type: 'string', describe: 'Directory to write into; it is made' },
    chroma: { type: 'string', describe: 'Export from the running Chroma server at this URL' },
    collection: { type: 'string', describe: 'Only this collection. May be repeated', isList: true },
    database: { type: 'string', describe: 'Only collections of this database' },
    tenant: { type: 'string', describe: 'Only collections of this tenant' },
    gzip: { type: 'boolean', describe: 'Compress: NAME.jsonl.gz instead of NAME.jsonl' },
    salvage: { type: 'boolean', describe: 'Save what a damaged store still has, and name each loss' },
    force: { type: 'boolean', describe: 'Replace files of an earlier export' },
  },
  needsRemote: (flags) =>
    flags.text('chroma') === undefined && sourceNamed(flags.text('source')).snapshot !== undefined,
  run: async ({ agent, flags, signal, style }) => {
    const to = flags.text('to');
    if (to === undefined) {
      throw new SyncAgentError('USAGE', 'Cannot export without a place to write to', {
        remedy: 'Add --to DIRECTORY',
      });
    }
    const result = await agent.exportTo(to, {
      ...sourceNamed(flags.text('source')),
      chroma: flags.text('chroma'),
      collections: flags.list('collection'),
      database: flags.text('database'),
      tenant: flags.text('tenant'),
      gzip: flags.has('gzip'),
      salvage: flags.has('salvage'),
      force: flags.has('force'),
      signal,
    });
    return {
      result,
      lines: exportLines(result, style),
      exitCode: (result.losses?.count ?? 0) === 0 ? 0 : exitCodes.STORE_CORRUPT,
    };
  },
};

function exportLines(result: ExportResult, style: Style): readonly string[] {
  const names = result.collections.map(({ name }) => name);
  const isTwice = (name: string): boolean => names.indexOf(name) !== names.lastIndexOf(name);
  const rows = result.collections.map(({ name, tenant, database, records, file }) => [
    printable(isTwice(name) ? `${tenant}/${database}/${name}` : name),
    formatCount(records),
    printable(file),
  ]);
  return [
    `${style.green('Exported')} ${formatCount(result.records)} records of ${printable(result.from)}`,
    ...(rows.length === 0
      ? []
      : table([{ title: 'Collection' }, { title: 'records', align: 'right' }, { title: 'file' }], rows)),
    ...(result.losses === undefined ? [] : lossLines(result.losses, style)),
  ];
}

function lossLines({ count, first, file }: ExportedLosses, style: Style): readonly string[] {
  if (count === 0) return ['Nothing is lost'];
  return [
    `${style.red('Lost')}: ${formatCount(count)} losses are named in ${printable(file)}`,
    ...first.map(({ collection, id, missing, message }) => {
      const what = [
        ...(collection === null ? [] : [collection]),
        ...(id === null ? [] : [JSON.stringify(id)]),
      ];
      const parts = missing.length === 0 ? '' : ` (${missing.join(', ')})`;
      return `  ${printable([...what, message].join(': '))}${parts}`;
    }),
    ...(count > first.length ? [`  and ${formatCount(count - first.length)} more`] : []),
  ];
}
