import { SyncAgentError } from '../../platform/errors.ts';
import { mayBeginId } from '../../log/layout.ts';
import type { BackupOptions } from './backup-result.ts';

const longestSnapshotLabel = 100;

/** USAGE for a label that could not be typed, or would mean something else where a snapshot is named. */
export function assertLabel({ label, minIntervalMs }: BackupOptions): void {
  if (label === undefined) return;
  const problem = labelProblem(label);
  if (problem !== undefined)
    throw new SyncAgentError(
      'USAGE',
      `Cannot label a snapshot ${JSON.stringify(label.slice(0, 200))}: it ${problem}`,
      {
        remedy: 'Use letters, digits, dots, dashes and spaces, such as before-migration',
      },
    );
  if (minIntervalMs !== undefined)
    throw new SyncAgentError(
      'USAGE',
      `Cannot use a label and a minimum interval at once: a label asks for a snapshot now`,
    );
}

function labelProblem(label: string): string | undefined {
  if (label.trim() === '') return 'is empty';
  if (label.trim() !== label) return 'begins or ends with a space';
  if (label.length > longestSnapshotLabel) return `has more than ${longestSnapshotLabel} characters`;
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}\uFFFD]/u.test(label))
    return 'holds a character that cannot be seen';
  if (/[/\\]/.test(label)) return 'holds a slash, as a directory does';
  if (/^[~-]/.test(label)) return `begins with "${label[0]}"`;
  if (label === 'latest') return 'always means the newest snapshot';
  return mayBeginId(label) ? 'could be the beginning of a snapshot id' : undefined;
}
