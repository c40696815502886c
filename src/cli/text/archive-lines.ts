import { join } from 'node:path';
import type { ArchiveResult } from '../../engine/archives/archive-store.ts';
import type { ArchiveInfo, ArchiveListing, ArchiveSummary } from '../../engine/archives/list-archives.ts';
import type { ArchiveRestored, ArchiveRestoredTo } from '../../engine/archives/restore-archive.ts';
import { rollbackRoot } from '../../home/home.ts';
import type { Home } from '../../home/home.ts';
import { counted, facts, formatBytes, formatCount, printable, table } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

export function archivedLines(result: ArchiveResult, style: Style): readonly string[] {
  const { path, source, id, records, deleted, isEncrypted } = result;
  return [
    `${style.green('Archived')} ${source === 'store' ? 'the store' : `snapshot ${id}`} to ${style.bold(printable(path))}`,
    ...facts([
      ['records', formatCount(records)],
      ['size', `${sizeText(result)}, ${formatBytes(result.archiveBytes)} in the archive`],
      ...(isEncrypted ? [['encrypted', 'AES-256; plain unzip cannot open it'] as const] : []),
      ...deleted.map((each) => ['deleted', printable(each)] as const),
    ]),
  ];
}

export function listingLines({ dir, archives, unreadable }: ArchiveListing, style: Style): readonly string[] {
  const lines = unreadable.map(({ error }) => `${style.red('unreadable')}  ${printable(error)}`);
  if (archives.length === 0) return [`No archives in ${printable(dir)}`, ...lines];
  const [header = '', ...rows] = table(
    [
      { title: 'ARCHIVE' },
      { title: 'TAKEN' },
      { title: 'SIZE', align: 'right' },
      { title: 'STORE', align: 'right' },
      { title: 'HOST' },
      { title: '' },
    ],
    archives.map((each) => [
      printable(each.path.slice(dir.length + 1)),
      each.createdAt,
      formatBytes(each.archiveBytes),
      formatBytes(each.bytes),
      printable(each.host),
      each.isEncrypted ? 'encrypted' : '',
    ]),
  );
  return [style.bold(header), ...rows, ...lines];
}

export function infoLines(info: ArchiveInfo, style: Style): readonly string[] {
  return [
    style.bold(printable(info.path)),
    ...facts([
      ['snapshot', info.source === 'snapshot' ? info.id : `${info.id} (of the store itself)`],
      ['taken', info.createdAt],
      ['archived', info.archivedAt],
      ['from', `${printable(info.store)} on ${printable(info.host)}`],
      ['kind', info.adapter],
      ['parent', info.parent ?? 'none'],
      ['records', formatCount(info.records)],
      ['size', `${sizeText(info)}, ${formatBytes(info.archiveBytes)} in the archive`],
      ['encrypted', info.isEncrypted ? 'AES-256' : 'no'],
      ...info.damage.map(({ message }) => ['damage', printable(message)] as const),
      ...info.findings.map(({ message }) => ['finding', printable(message)] as const),
    ]),
    ...(info.collections.length === 0
      ? []
      : table(
          [{ title: 'COLLECTION' }, { title: 'RECORDS', align: 'right' }],
          info.collections.map(({ name, records }) => [printable(name), formatCount(records)]),
        )),
    ...table(
      [{ title: 'FILE' }, { title: 'SIZE', align: 'right' }, { title: 'SHA-256' }],
      info.contents.map(({ path, size, sha256 }) => [printable(path), formatBytes(size), sha256]),
    ),
  ];
}

export function archiveRestoredLines(
  result: ArchiveRestored,
  {
    home,
    style,
    commandLine,
  }: { readonly home: Home; readonly style: Style; readonly commandLine: (words: string) => string },
): readonly string[] {
  const { path, parent, lineage, rollbackCopy } = result;
  return [
    `${style.green('Restored')} ${style.bold(printable(path))}`,
    ...facts([
      ['records', formatCount(result.records)],
      ['size', sizeText(result)],
      ['store', home.store],
      ['next backup', nextBackup[lineage](parent ?? '')],
      ...(rollbackCopy === undefined
        ? []
        : ([
            ['old store', join(rollbackRoot(home), rollbackCopy)],
            ['to go back', commandLine(`rollback ${rollbackCopy}`)],
          ] as const)),
    ]),
  ];
}

const nextBackup: Readonly<Record<ArchiveRestored['lineage'], (parent: string) => string>> = {
  equal: (parent) => `continues snapshot ${parent}, which holds the same`,
  grown: (parent) => `is a child of snapshot ${parent}, from which the archived store had grown`,
  unknown: () =>
    'has no parent: the remote has no snapshot from which the archived store had grown, or was not asked',
};

export function archiveRestoredToLines(result: ArchiveRestoredTo, style: Style): readonly string[] {
  return [
    `${style.green('Restored')} ${style.bold(printable(result.path))} to ${printable(result.dir)}`,
    ...facts([
      ['records', formatCount(result.records)],
      ['size', sizeText(result)],
    ]),
  ];
}

const sizeText = ({ bytes, files }: Pick<ArchiveSummary, 'bytes' | 'files'>): string =>
  `${formatBytes(bytes)} in ${counted(files, 'file')}`;
