import { SyncAgentError, exitCodes } from '../../../platform/errors.ts';
import type { VerifyOptions, VerifyReport } from '../../../engine/history/verify.ts';
import { counted, formatAge, formatBytes, formatCount, printable } from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import { parseDuration, parseSize } from '../../../settings/units.ts';
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
    budget: {
      type: 'string',
      describe:
        'With --read-data: stop after this time or so many bytes, such as 5m or 2GiB; the next run goes on',
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
    const budget = budgetOf(flags.text('budget'), flags.has('read-data'));
    const result = await agent.verify({
      ...(snapshot === undefined ? {} : { snapshot }),
      all,
      readData: flags.has('read-data'),
      ...budget,
      signal,
    });
    return {
      result,
      lines: verifyLines(result, style),
      exitCode: result.isSound ? 0 : exitCodes.SNAPSHOT_CORRUPT,
    };
  },
};

/** A duration has a unit of time, a size one of bytes. */
function budgetOf(
  text: string | undefined,
  readsData: boolean,
): Pick<VerifyOptions, 'budgetMs' | 'budgetBytes'> {
  if (text === undefined) return {};
  if (!readsData) {
    throw new SyncAgentError('USAGE', 'Cannot use --budget without --read-data: nothing else takes long', {
      remedy: 'Add --read-data',
    });
  }
  const budgetMs = parseDuration(text);
  if (budgetMs !== undefined && budgetMs > 0) return { budgetMs };
  const budgetBytes = parseSize(text);
  if (budgetBytes !== undefined && budgetBytes > 0) return { budgetBytes };
  throw new SyncAgentError(
    'USAGE',
    `Cannot use --budget = ${JSON.stringify(text)}: expected a time such as 5m, or a size such as 2GiB`,
  );
}

function coverageLines({ coverage }: VerifyReport, nowMs: number): readonly string[] {
  if (coverage === null) return [];
  const { files, bytes, verifiedFiles, verifiedBytes, readFiles, readBytes, oldestVerifiedAt } = coverage;
  const share = bytes === 0 ? 100 : Math.floor((100 * verifiedBytes) / bytes);
  const oldest =
    oldestVerifiedAt === null ? '' : `, the oldest ${formatAge(nowMs - Date.parse(oldestVerifiedAt))}`;
  return [
    `read      ${formatBytes(readBytes)} in ${counted(readFiles, 'file')}`,
    `covered   ${share}%: ${formatBytes(verifiedBytes)} of ${formatBytes(bytes)}, ${formatCount(verifiedFiles)} of ${counted(files, 'file')}${oldest}`,
  ];
}

function verifyLines(report: VerifyReport, style: Style): readonly string[] {
  const problems = report.snapshots.reduce(
    (sum, each) => sum + each.problems.length,
    report.damagedCommits.length,
  );
  const how =
    report.coverage !== null
      ? 'presence and sizes, and what was read'
      : report.readData
        ? 'every byte was read'
        : 'presence and sizes; --read-data reads every byte';
  return [
    ...report.damagedCommits.map((message) => `${style.red('damaged')}  ${printable(message)}`),
    ...report.snapshots.flatMap((each) => [
      `${each.problems.length === 0 ? style.green('ok') : style.red('damaged')}  ${each.id}  ` +
        `${formatBytes(each.bytes)} in ${counted(each.files, 'file')}`,
      ...each.problems.map((problem) => `    ${printable(problem)}`),
    ]),
    ...coverageLines(report, Date.now()),
    report.isSound
      ? `${counted(report.snapshots.length, 'snapshot')} verified: ${how}`
      : style.red(`${counted(problems, 'problem')} found in ${counted(report.snapshots.length, 'snapshot')}`),
  ];
}
