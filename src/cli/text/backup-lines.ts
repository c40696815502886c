import type { BackupResult } from '../../engine/backup/backup.ts';
import { counted, facts, formatAge, formatBytes, formatCount, formatDuration } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

/** The result of a backup, for a person. */
export function backupLines(result: BackupResult, requests: number, style: Style): readonly string[] {
  switch (result.type) {
    case 'unchanged':
      return [`Nothing changed since snapshot ${result.id} (${counted(requests, 'request')})`];
    case 'too-soon':
      return [
        `Nothing done: snapshot ${result.id} was made ${formatAge(result.ageMs)}, younger than --min-interval`,
      ];
    case 'planned':
      return [
        `Would upload ${formatBytes(result.uploadBytes)} in ${counted(result.uploadFiles, 'file')} and reuse ` +
          `${formatBytes(result.reuseBytes)} in ${counted(result.reuseFiles, 'file')} (${counted(result.records, 'record')})`,
      ];
    case 'committed':
      return [
        `${style.green('Backed up')} as snapshot ${style.bold(result.id)}`,
        ...facts([
          ['generation', formatCount(result.generation)],
          ['records', formatCount(result.records)],
          ['size', `${formatBytes(result.bytes)} in ${counted(result.files, 'file')}`],
          ['uploaded', `${formatBytes(result.uploadBytes)}, ${formatBytes(result.reuseBytes)} reused`],
          ...(result.lost.length === 0
            ? []
            : [['missing', `${counted(result.lost.length, 'object')}, uploaded again`] as const]),
          ['writers', heldBack(result)],
          ['requests', formatCount(requests)],
          ...(result.dropped.length === 0
            ? []
            : [['rotated', counted(result.dropped.length, 'old snapshot')] as const]),
          ...(result.damage.length === 0
            ? []
            : [['damaged', `yes; pinned, restored only by its name`] as const]),
          ...(result.findings.length === 0
            ? []
            : [['findings', counted(result.findings.length, 'finding')] as const]),
        ]),
        ...(result.diverged.length === 0 ? [] : divergedLines(result.diverged, style)),
      ];
    default:
      return result satisfies never;
  }
}

function heldBack({ heldMs, longestHoldMs }: Extract<BackupResult, { type: 'committed' }>): string {
  if (heldMs === 0) return 'not held back';
  const longest = longestHoldMs < heldMs ? `, ${formatDuration(longestHoldMs)} at the longest` : '';
  return `held back for ${formatDuration(heldMs)}${longest}`;
}

/** What a divergence means, and how to end it. */
export function divergedLines(tips: readonly string[], style: Style): readonly string[] {
  return [
    style.yellow('Diverged: several hosts wrote, none on top of the other. All their snapshots are kept:'),
    ...tips.map((tip) => `  ${tip}`),
    'Compare them: "sync-agent diff A B"',
    'To keep the newest: "sync-agent restore --force" on the host that gives way, then "sync-agent prune --resolve TIP"',
    'To keep another: "sync-agent restore --snapshot TIP", then "sync-agent backup"',
  ];
}
