import type { Command } from './commands/command.ts';

type Loader = () => Promise<Command>;

/** In the order of --help. A start loads no more than the one that was asked for. */
const loaders: Readonly<Record<string, Loader>> = {
  init: async () => (await import('./commands/setup/init.ts')).initCommand,
  backup: async () => (await import('./commands/store/backup.ts')).backupCommand,
  restore: async () => (await import('./commands/store/restore.ts')).restoreCommand,
  sync: async () => (await import('./commands/store/sync.ts')).syncCommand,
  repair: async () => (await import('./commands/store/repair.ts')).repairCommand,
  maintain: async () => (await import('./commands/store/maintain.ts')).maintainCommand,
  rebuild: async () => (await import('./commands/work/rebuild.ts')).rebuildCommand,
  list: async () => (await import('./commands/remote/list.ts')).listCommand,
  show: async () => (await import('./commands/remote/show.ts')).showCommand,
  diff: async () => (await import('./commands/remote/diff.ts')).diffCommand,
  verify: async () => (await import('./commands/remote/verify.ts')).verifyCommand,
  drill: async () => (await import('./commands/remote/drill.ts')).drillCommand,
  check: async () => (await import('./commands/store/check.ts')).checkCommand,
  inspect: async () => (await import('./commands/store/inspect.ts')).inspectCommand,
  'repair-remote': async () => (await import('./commands/remote/repair-remote.ts')).repairRemoteCommand,
  prune: async () => (await import('./commands/remote/prune.ts')).pruneCommand,
  pin: async () => (await import('./commands/remote/pin.ts')).pinCommand,
  unpin: async () => (await import('./commands/remote/pin.ts')).unpinCommand,
  'clear-history': async () => (await import('./commands/remote/clear-history.ts')).clearHistoryCommand,
  rollback: async () => (await import('./commands/store/rollback.ts')).rollbackCommand,
  copy: async () => (await import('./commands/remote/copy.ts')).copyCommand,
  archive: async () => (await import('./commands/archive/archive.ts')).archiveCommand,
  export: async () => (await import('./commands/store/export.ts')).exportCommand,
  import: async () => (await import('./commands/store/import.ts')).importCommand,
  index: async () => (await import('./commands/work/index-records.ts')).indexCommand,
  analyze: async () => (await import('./commands/work/analyze.ts')).analyzeCommand,
  merge: async () => (await import('./commands/remote/merge.ts')).mergeCommand,
  status: async () => (await import('./commands/store/status.ts')).statusCommand,
  log: async () => (await import('./commands/work/log.ts')).logCommand,
  run: async () => (await import('./commands/agent/run.ts')).runCommand,
  protect: async () => (await import('./commands/work/protect.ts')).protectCommand,
  watch: async () => (await import('./commands/agent/watch.ts')).watchCommand,
  notify: async () => (await import('./commands/store/notify.ts')).notifyCommand,
  flush: async () => (await import('./commands/store/flush.ts')).flushCommand,
  doctor: async () => (await import('./commands/setup/doctor.ts')).doctorCommand,
};

/** Undefined if there is no such command. */
export const commandNamed = async (name: string): Promise<Command | undefined> =>
  Object.hasOwn(loaders, name) ? loaders[name]?.() : undefined;

/** In the order of --help. */
export const allCommands = (): Promise<readonly Command[]> =>
  Promise.all(Object.values(loaders).map((load) => load()));
