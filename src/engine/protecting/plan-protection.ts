import { SyncAgentError } from '../../platform/errors.ts';
import type { BackupOptions } from '../backup/backup-result.ts';
import type { PinOptions } from '../history/pin.ts';

/** How much of a guard an operation gets. */
export interface ProtectionOptions {
  /**
   * What the operation does to the store. `read`: nothing, so it gets no guard. `write` (default): ordinary work, for which a snapshot that is
   * younger than `intervalMs` is good enough. `risky`: work that may lose something, which gets a snapshot of this moment.
   */
  readonly risk?: 'read' | 'write' | 'risky' | undefined;
  /** Make a snapshot in any case, even if nothing changed since the newest one. */
  readonly forceBackup?: boolean | undefined;
  /**
   * What becomes of the store if the work fails or leaves it damaged. `keep` (default): it stays as it is. `restore`: the snapshot from before
   * is restored, so the work counts as risky; BUSY, and nothing is done, if a process has the store open.
   */
  readonly onFailure?: 'keep' | 'restore' | undefined;
  /** How long the snapshot from before is kept whatever the retention rule says, milliseconds; default seven days. */
  readonly pinForMs?: number | undefined;
}

export type Protection =
  | { readonly type: 'none' }
  | {
      readonly type: 'guarded';
      /** The snapshot before the work. It is pinned with its own commit if one is made. */
      readonly backup: BackupOptions;
      /** For a snapshot that is there already, because the store equals it; undefined: it is not pinned. */
      readonly pin: PinOptions | undefined;
      readonly onFailure: 'keep' | 'restore';
    };

const defaultPinMs = 7 * 86_400_000;
const longestName = 100;

/** Decides how `name` is guarded. Pure. USAGE for a name that the log could not show. */
export function planProtection(
  name: string,
  { risk = 'write', forceBackup = false, onFailure = 'keep', pinForMs = defaultPinMs }: ProtectionOptions,
  { intervalMs }: { readonly intervalMs: number },
): Protection {
  assertName(name);
  if (risk === 'read' && !forceBackup) return { type: 'none' };
  const reason = `before "${name}"`;
  const ofThisMoment = risk === 'risky' || forceBackup || onFailure === 'restore';
  return {
    type: 'guarded',
    backup: {
      pin: { reason, forMs: pinForMs },
      ...(forceBackup ? { evenUnchanged: true } : {}),
      ...(ofThisMoment ? {} : { local: { minIntervalMs: intervalMs } }),
    },
    pin: ofThisMoment ? { reason, forMs: pinForMs } : undefined,
    onFailure,
  };
}

function assertName(name: string): void {
  const isGood = name.trim() !== '' && name.length <= longestName && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name);
  if (isGood) return;
  throw new SyncAgentError(
    'USAGE',
    `Cannot protect ${JSON.stringify(name.slice(0, 200))}: a name has 1 to ${longestName} characters on one line`,
  );
}
