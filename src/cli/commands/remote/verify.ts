import { SyncAgentError, exitCodes } from '../../../platform/errors.ts';
import type { VerifyReport } from '../../../engine/history/verify.ts';
import { counted, formatBytes, printable } from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import type { Command } from '../command.ts';
import { snapshotNames } from '../../text/snapshot-text.ts';

export const verifyCommand: Command = {
  name: 'verify',
  describe: 'Check that the remote holds every object of a snapshot',
  isQuery: true,
  positionals: [
    {
      name: 'snapshot',
      describe: `Snapshot to check: ${snapshotNames} [default: latest]`,
      isRequired: false,
    },
  ],
  options: {
    all: { type: 'boolean', describe: 'Check every snapshot' },
    'read-data': {
      type: 'boolean',
      describe: 'Read every byte and compare the SHA-256 of each file',
    },
  },
  run: async ({ agent, flags, signal, style }) => {
    const snapshot = flags.text('snapshot');
    const all = flags.has('all');
    if (all && snapshot !== undefined) {
      throw new SyncAgentError('USAGE', `Cannot verify "${snapshot}" and --all at once`, {
        remedy: 'Leave one of them out',
      });
    }
    const result = await agent.verify({
      ...(snapshot === undefined ? {} : { snapshot }),
      all,
      readData: flags.has('read-data'),
      signal,
    });
    return {
      result,
      lines: verifyLines(result, style),
      exitCode: result.isSound ? 0 : exitCodes.SNAPSHOT_CORRUPT,
    };
  },
};

function verifyLines(report: VerifyReport, style: Style): readonly string[] {
  const problems = report.snapshots.reduce(
    (sum, each) => sum + each.problems.length,
    report.damagedCommits.length,
  );
  const how = report.readData ? 'every byte was read' : 'presence and sizes; --read-data reads every byte';
  return [
    ...report.damagedCommits.map((message) => `${style.red('damaged')}  ${printable(message)}`),
    ...report.snapshots.flatMap((each) => [
      `${each.problems.length === 0 ? style.green('ok') : style.red('damaged')}  ${each.id}  ` +
        `${formatBytes(each.bytes)} in ${counted(each.files, 'file')}`,
      ...each.problems.map((problem) => `    ${printable(problem)}`),
    ]),
    report.isSound
      ? `${counted(report.snapshots.length, 'snapshot')} verified: ${how}`
      : style.red(`${counted(problems, 'problem')} found in ${counted(report.snapshots.length, 'snapshot')}`),
  ];
}
