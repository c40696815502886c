import type { ProtectOptions, ProtectedWork } from '../../api/protecting.ts';
import type { AgentSettings } from '../../in-process/agent-settings.ts';
import type { FileSystem } from '../../platform/file-system.ts';
import { loggedAccess } from '../../in-process/logged-access.ts';
import { openStoreAccess } from '../../in-process/store-access.ts';
import type { ProtectContext } from './guard.ts';
import { protect } from './protect.ts';

/** Does work under guard: `SyncAgent.protect`. */
export type Protect = <T>(name: string, work: ProtectedWork<T>, options?: ProtectOptions) => Promise<T>;

export interface ProtectorOptions extends Omit<ProtectContext, 'log'> {
  /** For the operation log. Default: the script that this process runs. */
  readonly program?: string;
  /** The disk that the log is on. */
  readonly fs?: FileSystem;
}

/** `calls` do the work of the guard; this writes the operation log, and opens no remote. */
export function createProtector(
  settings: AgentSettings,
  { program, fs, ...context }: ProtectorOptions,
): Protect {
  const { clock, emit } = context;
  const access = openStoreAccess(settings, { clock, emit, ...(fs === undefined ? {} : { fs }) });
  const log = loggedAccess(access, { clock, emit, host: settings.host, program });
  return (name, work, options) => protect({ ...context, log }, name, work, options);
}
