import type { CopyOperations, CopyTarget } from '../api/copy-operations.ts';
import type { Context } from '../engine/context.ts';
import { assertApart } from '../home/home.ts';
import { systemClock } from '../platform/clock.ts';
import { nodeFileSystem } from '../platform/file-system.ts';
import { openRemote } from '../remotes/open-remote.ts';
import type { OpenedRemote } from '../remotes/open-remote.ts';
import type { AgentSettings } from './agent-settings.ts';
import type { LoggedAccess } from './logged-access.ts';
import type { AgentPorts } from './store-access.ts';

/** Copies to a second remote, which is opened for each call. */
export function copyOperations(
  settings: AgentSettings,
  ports: AgentPorts,
  log: LoggedAccess,
): CopyOperations {
  return {
    copyTo: async (to, { signal, ...options } = {}) => {
      const { copySnapshots } = await import('../engine/copying/copy-snapshots.ts');
      const target: CopyTarget = typeof to === 'string' ? { s3: settings.s3, remote: to } : to;
      return log.read('copy', { signal }, async (context) => {
        const opened = await open(target, ports, context);
        try {
          return await copySnapshots(context, contextOf(context, target, opened), options);
        } finally {
          await opened.remote.close();
        }
      });
    },
  };
}

async function open(
  target: CopyTarget,
  { clock = systemClock, fs = nodeFileSystem, copyTarget }: AgentPorts,
  { emit, home }: Context,
): Promise<OpenedRemote> {
  if (copyTarget !== undefined) return { remote: copyTarget, remoteId: copyTarget.location, prefixBytes: 0 };
  const opened = await openRemote(target.remote, { s3: target.s3, clock, fs, emit });
  if (opened.directory !== undefined) await assertApart(home, opened.directory);
  return opened;
}

/** The target's own rules, and all else as in the agent. */
function contextOf(
  context: Context,
  { remote: _, s3: __, ...rules }: CopyTarget,
  { remote, remoteId, prefixBytes }: OpenedRemote,
): Context {
  const given = Object.fromEntries(Object.entries(rules).filter(([, value]) => value !== undefined));
  return { ...context, remote, remoteId, settings: { ...context.settings, ...given, prefixBytes } };
}
