import { backupCommand } from './backup.ts';
import { clearHistoryCommand } from './clear-history.ts';
import type { Command } from './command.ts';
import { diffCommand } from './diff.ts';
import { doctorCommand } from './doctor.ts';
import { initCommand } from './init.ts';
import { listCommand } from './list.ts';
import { notifyCommand } from './notify.ts';
import { pinCommand, unpinCommand } from './pin.ts';
import { pruneCommand } from './prune.ts';
import { repairRemoteCommand } from './repair-remote.ts';
import { restoreCommand } from './restore.ts';
import { rollbackCommand } from './rollback.ts';
import { runCommand } from './run-command.ts';
import { showCommand } from './show.ts';
import { statusCommand } from './status.ts';
import { syncCommand } from './sync.ts';
import { verifyCommand } from './verify.ts';
import { watchCommand } from './watch.ts';

/** In the order of --help. */
export const commands: readonly Command[] = [
  initCommand,
  backupCommand,
  restoreCommand,
  syncCommand,
  listCommand,
  showCommand,
  diffCommand,
  verifyCommand,
  repairRemoteCommand,
  pruneCommand,
  pinCommand,
  unpinCommand,
  clearHistoryCommand,
  rollbackCommand,
  statusCommand,
  runCommand,
  watchCommand,
  notifyCommand,
  doctorCommand,
];
