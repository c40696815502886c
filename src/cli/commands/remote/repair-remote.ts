import { SyncAgentError, exitCodes } from '../../../platform/errors.ts';
import type { Origin } from '../../../engine/repair/plan-repair.ts';
import type { RepairResult } from '../../../engine/repair/repair-remote.ts';
import { counted, printable, table } from '../../../report/format.ts';
import type { Command } from '../command.ts';

export const repairRemoteCommand: Command = {
  name: 'repair-remote',
  describe: 'Rebuild a lost list of snapshots in the remote (for the store: repair); deletes nothing',
  isQuery: true,
  options: {
    yes: { type: 'boolean', describe: 'Write what is missing' },
    'dry-run': { type: 'boolean', describe: 'Show what would be written' },
  },
  run: async ({ agent, flags, signal, say }) => {
    const isAsked = flags.has('dry-run');
    const plan = await agent.repairRemote({ dryRun: isAsked || !flags.has('yes'), signal });
    if (isAsked || flags.has('yes') || plan.objects === 0)
      return { result: plan, lines: repairLines(plan), exitCode: exitCodeOf(plan) };
    for (const line of repairLines(plan)) say(line);
    throw new SyncAgentError(
      'REFUSED',
      `Cannot repair the remote unasked: it would write ${counted(plan.objects, 'object')}`,
      { remedy: 'Add --yes to do it' },
    );
  },
};

/** Exit code 5 if objects are missing that no log can bring back. */
function exitCodeOf({ snapshots }: RepairResult): number {
  return snapshots.some(({ problems }) => problems.length > 0) ? exitCodes.SNAPSHOT_CORRUPT : 0;
}

function repairLines({ snapshots, left, objects, isDryRun }: RepairResult): readonly string[] {
  return [
    ...table(
      [{ title: 'SNAPSHOT' }, { title: 'GEN', align: 'right' }, { title: 'KNOWN BY' }, { title: '' }],
      snapshots.map(({ id, generation, origin, writes, problems }) => [
        id,
        String(generation),
        words[origin],
        [
          ...(writes.length === 0
            ? []
            : [`${isDryRun ? 'would write' : 'wrote'} its ${writes.join(' and ')}`]),
          ...(problems.length === 0 ? [] : [counted(problems.length, 'problem')]),
        ].join(', '),
      ]),
    ),
    ...snapshots.flatMap(({ problems }) => problems.map((problem) => `    ${printable(problem)}`)),
    ...left.map(({ id, why }) => `left alone  ${id}: ${printable(why)}`),
    objects === 0
      ? 'Nothing to repair: the log names what is there'
      : `${isDryRun ? 'Would write' : 'Wrote'} ${counted(objects, 'object')}, and ${isDryRun ? 'delete' : 'deleted'} none`,
  ];
}

const words: Readonly<Record<Origin, string>> = {
  commit: 'its commit',
  copy: "its commit's copy",
  'manifest.json': 'manifest.json',
  files: 'its files alone',
};
