import type { Manifest } from '../../log/manifest.ts';
import { totalBytes } from '../../log/manifest.ts';
import { SyncAgentError } from '../../platform/errors.ts';

/** Space that stays free for the rest of the system. */
export const spareBytes = 16 * 1024 * 1024;

export interface Shortage {
  readonly freeBytes: number;
  /** Space that must stay free; default 0. */
  readonly spareBytes?: number;
  /** Completes "are free". */
  readonly where: string;
  /** Another remedy than more space, to follow "or". */
  readonly instead?: string;
}

export function diskFull(
  manifest: Manifest,
  { freeBytes, where, instead, ...more }: Shortage,
): SyncAgentError {
  const needed = totalBytes(manifest.files);
  const spare = more.spareBytes ?? 0;
  const missing = needed + spare - freeBytes;
  return new SyncAgentError(
    'DISK_FULL',
    `Cannot restore snapshot ${manifest.id}: it needs ${needed} bytes${spare > 0 ? ` and ${spare} that stay free` : ''}, ${freeBytes} are free ${where}${missing > 0 ? `, ${missing} are missing` : ''}`,
    { remedy: `Free some space${instead === undefined ? '' : `, or ${instead}`}` },
  );
}
