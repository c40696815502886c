import type { SyncResult } from '../../../engine/sync.ts';
import { exitCodes } from '../../../platform/errors.ts';
import { locateHome } from '../../../home/home.ts';
import { backupLines } from '../../text/backup-lines.ts';
import type { Command, Invocation } from '../command.ts';
import { restoreLines } from '../../text/restore-lines.ts';

export const syncCommand: Command = {
  name: 'sync',
  describe: 'Back up if only the store changed, restore if only the remote did',
  isQuery: false,
  options: {
    'allow-shrink': { type: 'boolean', describe: 'Back up even if the store lost most of its content' },
    'skip-backup': { type: 'boolean', describe: 'Keep no rollback copy of the replaced store' },
    'dry-run': { type: 'boolean', describe: 'Show what would be done' },
  },
  run: async (invocation) => {
    const { agent, flags, signal, requests } = invocation;
    const result = await agent.sync({
      allowShrink: flags.has('allow-shrink'),
      skipBackup: flags.has('skip-backup'),
      dryRun: flags.has('dry-run'),
      signal,
    });
    return {
      result: { ...result, requests: requests() },
      lines: await linesOf(result, invocation),
      exitCode: isDiverged(result) ? exitCodes.DIVERGED : 0,
    };
  },
};

function isDiverged(result: SyncResult): boolean {
  return result.type === 'diverged' || (result.type === 'committed' && result.diverged.length > 0);
}

async function linesOf(
  result: SyncResult,
  { config, style, commandLine, requests }: Invocation,
): Promise<readonly string[]> {
  const isBackup =
    result.type === 'unchanged' ||
    result.type === 'too-soon' ||
    result.type === 'committed' ||
    (result.type === 'planned' && 'uploadBytes' in result);
  if (isBackup) return backupLines(result, requests(), style);
  const home = await locateHome(config.store ?? '');
  return restoreLines(result, { home, style, commandLine, now: Date.now() });
}
