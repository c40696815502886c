import { SyncAgentError } from '../../../platform/errors.ts';
import type { GivenFlags } from '../../flags.ts';
import { snapshotNames } from '../../text/snapshot-text.ts';
import type { Command, Invocation, Outcome } from '../command.ts';

const actions = ['list', 'info', 'restore'] as const;
type Action = (typeof actions)[number] | 'create';

/** Which flags an action takes. */
const flagsOf: Readonly<Record<Action, readonly string[]>> = {
  create: ['to', 'max-backups', 'no-cleanup', 'password-file', 'force'],
  list: [],
  info: ['password-file'],
  restore: ['to', 'password-file', 'force', 'yes'],
};

export const archiveCommand: Command = {
  name: 'archive',
  describe: 'Write the store or a snapshot to one ZIP file; list, show and restore such files',
  isQuery: false,
  positionals: [
    {
      name: 'what',
      describe: `Snapshot to archive: ${snapshotNames}. Default: the store. Or list, info, restore`,
      isRequired: false,
    },
    { name: 'path', describe: 'With list a directory, with info and restore an archive', isRequired: false },
  ],
  options: {
    to: {
      type: 'string',
      describe:
        'New file that ends in .zip, or a directory; with restore a new directory instead of the store',
    },
    'max-backups': {
      type: 'string',
      describe: 'Number of archives of this store to keep in the directory [default: all]',
    },
    'no-cleanup': { type: 'boolean', describe: 'Delete no older archive, whatever --max-backups says' },
    'password-file': {
      type: 'string',
      describe: 'File with the password that encrypts and opens archives (or SYNC_AGENT_ARCHIVE_PASSWORD)',
    },
    force: { type: 'boolean', describe: 'Replace an existing file; restore even if the store is in use' },
    yes: { type: 'boolean', describe: 'Restore without a question' },
  },
  needsRemote: (flags) => actionOf(flags) === 'create' && flags.text('what') !== undefined,
  run: async (invocation) => {
    const { flags } = invocation;
    const action = actionOf(flags);
    assertFlags(action, flags);
    switch (action) {
      case 'create':
        return create(invocation);
      case 'list':
        return (await import('./list-and-info.ts')).list(invocation, pathOf(flags, 'a directory'));
      case 'info':
        return (await import('./list-and-info.ts')).info(invocation, pathOf(flags, 'an archive'));
      case 'restore':
        return (await import('./restore.ts')).restore(invocation, pathOf(flags, 'an archive'));
      default:
        return action satisfies never;
    }
  },
};

function actionOf(flags: GivenFlags): Action {
  return actions.find((each) => each === flags.text('what')) ?? 'create';
}

async function create({ agent, flags, signal, style }: Invocation): Promise<Outcome> {
  const [to, snapshot] = [flags.text('to'), flags.text('what')];
  if (to === undefined) {
    throw new SyncAgentError('USAGE', 'Cannot archive without a place to write to', {
      remedy: 'Add --to FILE.zip, or --to DIRECTORY',
    });
  }
  if (flags.text('path') !== undefined)
    throw new SyncAgentError('USAGE', `Cannot use "${flags.text('path')}": the archive's place is --to`);
  const { passwordOf } = await import('./password.ts');
  const { archivedLines } = await import('../../text/archive-lines.ts');
  const maxBackups = flags.count('max-backups');
  const result = await agent.archiveTo(to, {
    ...(snapshot === undefined ? {} : { snapshot }),
    password: await passwordOf(flags),
    force: flags.has('force'),
    ...(maxBackups === undefined || flags.has('no-cleanup') ? {} : { maxBackups }),
    signal,
  });
  return { result, lines: archivedLines(result, style) };
}

function pathOf(flags: GivenFlags, what: string): string {
  const path = flags.text('path');
  if (path !== undefined) return path;
  throw new SyncAgentError(
    'USAGE',
    `Cannot go on without ${what}: name it after "archive ${flags.text('what')}"`,
  );
}

function assertFlags(action: Action, flags: GivenFlags): void {
  const all = [...new Set(Object.values(flagsOf).flat())];
  const wrong = all.find(
    (name) => !flagsOf[action].includes(name) && (flags.has(name) || flags.text(name) !== undefined),
  );
  if (wrong === undefined) return;
  throw new SyncAgentError(
    'USAGE',
    `Cannot use --${wrong} with "archive${action === 'create' ? '' : ` ${action}`}"`,
  );
}
