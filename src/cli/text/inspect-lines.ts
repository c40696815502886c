import type { InspectReport } from '../../engine/reading/inspect-store.ts';
import { counted, facts, formatBytes, formatCount, printable, table } from '../../report/format.ts';

/** The whole first, then a line for each collection. */
export function inspectLines(report: InspectReport): readonly string[] {
  const { schema, database, databases, collections, queue, fullText, orphans } = report;
  const { migrations, opensWith } = schema;
  const free = database.pages === 0 ? 0 : database.freePages / database.pages;
  const what = report.snapshot === null ? printable(report.store) : `snapshot ${report.snapshot}`;
  return [
    `${what}${report.source === 'image' ? ' (a copy, because it is in use)' : ''}`,
    ...facts([
      [
        'schema',
        migrations === null
          ? 'unknown'
          : `${Object.entries(migrations)
              .map(([part, version]) => `${printable(part)} ${version}`)
              .join(', ')}; Chroma ${opensWith ?? '?'} and later open it`,
      ],
      [
        'database',
        `${formatBytes(database.bytes)}, ${formatCount(database.freePages)} of ${counted(database.pages, 'page')} free (${percent(free)}), ` +
          `${percent(database.fragmentation)} of the others unused, journal mode ${database.journalMode}`,
      ],
      [
        'tables',
        database.tables
          .slice(0, 5)
          .map(({ name, bytes }) => `${printable(name)} ${formatBytes(bytes)}`)
          .join(', '),
      ],
      ['queue', queueText(queue)],
      [
        'full text',
        fullText.texts === null
          ? 'no index'
          : `${formatCount(fullText.indexed ?? 0)} of ${counted(fullText.texts, 'text')} in ${counted(fullText.parts ?? 0, 'part')}`,
      ],
      [
        'orphans',
        orphans.length === 0
          ? 'none'
          : orphans.map(({ path, bytes }) => `${path} ${formatBytes(bytes)}`).join(', '),
      ],
      ...databases.map(({ tenant, name, collections: count }): [string, string] => [
        'contents',
        `${printable(tenant)}/${printable(name)}: ${counted(count, 'collection')}`,
      ]),
    ]),
    ...collectionLines(collections),
  ];
}

function collectionLines(collections: InspectReport['collections']): readonly string[] {
  if (collections.length === 0) return [];
  return table(
    ['collection', 'records', 'dimension', 'space', 'index', 'size', 'applied', 'pending', 'folder'].map(
      (title) => ({ title, align: /records|dimension|size|applied|pending/.test(title) ? 'right' : 'left' }),
    ),
    collections.map((each) => {
      const { vectorSegment: vector, metadataSegment: metadata } = each;
      return [
        printable(each.name),
        formatCount(each.records),
        each.dimension === null ? '-' : String(each.dimension),
        each.space,
        `${vector?.elements == null ? 'not persisted' : counted(vector.elements, 'element')}, M ${each.parameters['max_neighbors'] ?? '?'}`,
        vector?.bytes == null ? '-' : formatBytes(vector.bytes),
        `${vector?.appliedUpTo ?? '-'} / ${metadata?.appliedUpTo ?? '-'}`,
        formatCount(each.pending),
        vector?.id ?? '-',
      ];
    }),
  );
}

function queueText({ operations, first, last }: InspectReport['queue']): string {
  return operations === 0 ? 'empty' : `${counted(operations, 'operation')}, ${first} to ${last}`;
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
