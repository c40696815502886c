import type { CopyResult } from '../../../engine/copying/copy-snapshots.ts';
import { SyncAgentError } from '../../../platform/errors.ts';
import { counted, facts, formatBytes, table } from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import type { Command } from '../command.ts';

export const copyCommand: Command = {
  name: 'copy',
  describe: 'Copy the newest snapshot, or all, to a second remote',
  isQuery: false,
  options: {
    to: { type: 'string', describe: 'URL of the second remote, or its own config file' },
    all: { type: 'boolean', describe: 'Copy every snapshot that it does not have' },
    force: { type: 'boolean', describe: 'Copy beside snapshots there that this remote knows nothing of' },
  },
  run: async ({ agent, config, flags, signal, style }) => {
    const to = flags.text('to') ?? config.copyTo;
    if (to === undefined) {
      throw new SyncAgentError('USAGE', 'Cannot copy without a second remote', {
        remedy: 'Add --to s3://bucket/prefix, file:///directory, or a config file',
      });
    }
    const { copyTargetNamed } = await import('../../../settings/copy-target.ts');
    const target = await copyTargetNamed(to, process.cwd());
    const result = await agent.copyTo(target, { all: flags.has('all'), force: flags.has('force'), signal });
    return { result, lines: copyLines(result, style) };
  },
};

function copyLines({ type, to, newest, snapshots, sentBytes }: CopyResult, style: Style): readonly string[] {
  if (type === 'nothing-to-do') return [`Nothing to copy: ${to} has snapshot ${newest}`];
  return [
    `${style.green('Copied')} ${counted(snapshots.length, 'snapshot')} to ${style.bold(to)}`,
    ...facts([
      ['newest', newest],
      ['sent', formatBytes(sentBytes)],
    ]),
    ...table(
      [{ title: 'SNAPSHOT' }, { title: 'SIZE', align: 'right' }, { title: 'SENT', align: 'right' }],
      snapshots.map((each) => [each.id, formatBytes(each.bytes), formatBytes(each.sentBytes)]),
    ),
  ];
}
