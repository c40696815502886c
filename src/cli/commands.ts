import { analyzeCommand } from './commands/work/analyze.ts';
import { archiveCommand } from './commands/archive/archive.ts';
import { backupCommand } from './commands/store/backup.ts';
import { checkCommand } from './commands/store/check.ts';
import { clearHistoryCommand } from './commands/remote/clear-history.ts';
import type { Command } from './commands/command.ts';
import { copyCommand } from './commands/remote/copy.ts';
import { diffCommand } from './commands/remote/diff.ts';
import { doctorCommand } from './commands/setup/doctor.ts';
import { drillCommand } from './commands/remote/drill.ts';
import { exportCommand } from './commands/store/export.ts';
import { importCommand } from './commands/store/import.ts';
import { indexCommand } from './commands/work/index-records.ts';
import { flushCommand } from './commands/store/flush.ts';
import { initCommand } from './commands/setup/init.ts';
import { inspectCommand } from './commands/store/inspect.ts';
import { listCommand } from './commands/remote/list.ts';
import { logCommand } from './commands/work/log.ts';
import { maintainCommand } from './commands/store/maintain.ts';
import { mergeCommand } from './commands/remote/merge.ts';
import { notifyCommand } from './commands/store/notify.ts';
import { pinCommand, unpinCommand } from './commands/remote/pin.ts';
import { protectCommand } from './commands/work/protect.ts';
import { pruneCommand } from './commands/remote/prune.ts';
import { rebuildCommand } from './commands/work/rebuild.ts';
import { repairCommand } from './commands/store/repair.ts';
import { repairRemoteCommand } from './commands/remote/repair-remote.ts';
import { restoreCommand } from './commands/store/restore.ts';
import { rollbackCommand } from './commands/store/rollback.ts';
import { runCommand } from './commands/agent/run.ts';
import { showCommand } from './commands/remote/show.ts';
import { statusCommand } from './commands/store/status.ts';
import { syncCommand } from './commands/store/sync.ts';
import { verifyCommand } from './commands/remote/verify.ts';
import { watchCommand } from './commands/agent/watch.ts';

/** In the order of --help. */
export const commands: readonly Command[] = [
  initCommand,
  backupCommand,
  restoreCommand,
  syncCommand,
  repairCommand,
  maintainCommand,
  rebuildCommand,
  listCommand,
  showCommand,
  diffCommand,
  verifyCommand,
  drillCommand,
  checkCommand,
  inspectCommand,
  repairRemoteCommand,
  pruneCommand,
  pinCommand,
  unpinCommand,
  clearHistoryCommand,
  rollbackCommand,
  copyCommand,
  archiveCommand,
  exportCommand,
  importCommand,
  indexCommand,
  analyzeCommand,
  mergeCommand,
  statusCommand,
  logCommand,
  runCommand,
  protectCommand,
  watchCommand,
  notifyCommand,
  flushCommand,
  doctorCommand,
];
