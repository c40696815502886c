import { join } from 'node:path';
import type { AppliedLog } from '../../engine/continuous/apply-log.ts';
import type { RestoreToResult } from '../../engine/restore/restore-to.ts';
import type { Lost } from '../../engine/restore/lost-writes.ts';
import type { Restored } from '../../engine/restore/place-snapshot.ts';
import type { RestoreResult } from '../../engine/restore/restore.ts';
import {
  counted,
  facts,
  formatAge,
  formatBytes,
  formatCount,
  printable,
  timeOfSnapshot,
} from '../../report/format.ts';
import type { Style } from '../../report/style.ts';
import { rollbackRoot } from '../../home/home.ts';
import type { Home } from '../../home/home.ts';
import { divergedLines } from './backup-lines.ts';

interface Surroundings {
  readonly home: Home;
  readonly style: Style;
  readonly commandLine: (words: string) => string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The result of a restore, for a person: which snapshot, how old, and how to go back. */
export function restoreLines(result: RestoreResult, surroundings: Surroundings): readonly string[] {
  const { style } = surroundings;
  const skipped = 'skipped' in result ? (result.skipped ?? []) : [];
  return [
    ...outcomeLines(result, surroundings),
    ...skipped.map((why) => `${style.yellow('warning')}: skipped a newer snapshot: ${printable(why)}`),
    ...(skipped.length > 0
      ? ['Writes since then are missing. "sync-agent verify --all" shows what is damaged']
      : []),
  ];
}

function outcomeLines(
  result: RestoreResult,
  { home, style, commandLine, now }: Surroundings,
): readonly string[] {
  switch (result.type) {
    case 'empty-remote':
      return ['Nothing to restore: the remote holds no snapshot yet'];
    case 'equal':
      return [`Nothing to restore: the store equals snapshot ${result.id}`];
    case 'ahead':
      return [`Nothing restored: the store is ahead of snapshot ${result.id}: ${result.why}`];
    case 'diverged':
      return [
        `Nothing restored: ${result.why}`,
        ...facts([
          ['newest snapshot', `${result.id}, taken ${ageOf(result.id, now)}`],
          ['to restore it', `${commandLine('restore --force')}; keeps the present store as a rollback copy`],
          ['to keep both', `${commandLine('backup')}; makes the store the newest snapshot, the others stay`],
        ]),
        ...(result.tips.length > 1 ? divergedLines(result.tips, style) : []),
      ];
    case 'planned':
      return [
        `Would restore snapshot ${result.id}, taken ${ageOf(result.id, now)}, ` +
          `${formatBytes(result.bytes)} in ${counted(result.files, 'file')}, since ${result.why}`,
      ];
    case 'restored':
      return [
        `${style.green('Restored')} snapshot ${style.bold(result.id)}`,
        ...facts([
          ['taken', ageOf(result.id, now)],
          ...logFacts(result.log, style),
          ['records', formatCount(result.records)],
          ['size', `${formatBytes(result.bytes)} in ${counted(result.files, 'file')}`],
          ['downloaded', `${formatBytes(result.downloadedBytes)}, ${formatBytes(result.reusedBytes)} reused`],
          ['because', result.why],
          ['store', home.store],
          ...(result.lost === undefined ? [] : [['missing', lostText(result.lost)] as const]),
          ...rollbackFacts(result, home, commandLine),
        ]),
        ...(result.tips.length > 0 ? divergedLines([...result.tips, result.id], style) : []),
      ];
    default:
      return result satisfies never;
  }
}

/** What was written after the snapshot. The number of records is the snapshot's. */
function logFacts(log: AppliedLog | undefined, style: Style): readonly (readonly [string, string])[] {
  if (log === undefined) return [];
  return [
    [
      'then',
      log.until === undefined
        ? 'nothing was written after it'
        : `${counted(log.operations, 'write')} after it, up to ${log.until}; the server applies them at its first access`,
    ],
    ...(log.endedBy === undefined
      ? []
      : [['missing', style.red(`what was written later: ${printable(log.endedBy)}`)] as const]),
  ];
}

function lostText({ from, to, records }: Lost): string {
  const span = `writes from ${from}, the snapshot, to ${to}, the last write`;
  const count = records === null ? 'unknown number of records' : `at least ${counted(records, 'record')}`;
  return records === 0 ? `${span}: the number of records did not change` : `${span}: ${count}`;
}

function rollbackFacts(
  { rollbackCopy: name, lost }: Restored,
  home: Home,
  commandLine: Surroundings['commandLine'],
): readonly (readonly [string, string])[] {
  if (name === undefined) return [];
  return [
    ['old store', join(rollbackRoot(home), name)],
    // A damaged copy is put back only by force.
    ['to go back', commandLine(`rollback ${name}${lost === undefined ? '' : ' --force'}`)],
  ];
}

export function restoredToLines(result: RestoreToResult, style: Style): readonly string[] {
  return [
    `${style.green('Restored')} snapshot ${style.bold(result.id)} to ${result.dir}`,
    ...facts([
      ...logFacts(result.log, style),
      ['records', formatCount(result.records)],
      ['size', `${formatBytes(result.bytes)} in ${counted(result.files, 'file')}`],
    ]),
  ];
}

const ageOf = (id: string, now: number): string => formatAge(now - timeOfSnapshot(id));
