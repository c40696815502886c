import type {
  ChosenBecause,
  DrillReport,
  DrillStep,
  DrillStepName,
} from '../../engine/drill/drill-report.ts';
import { counted, formatBytes, formatDuration, printable } from '../../report/format.ts';
import type { Style } from '../../report/style.ts';

const reasons: Readonly<Record<ChosenBecause, string>> = {
  named: 'named',
  newest: 'the newest',
  'least-recent': 'drilled longest ago, or never',
};

const stepNames: Readonly<Record<DrillStepName, string>> = {
  list: 'list of snapshots and objects',
  restore: 'restore, each byte with its hash',
  check: 'database, indexes and records',
  server: 'its server',
};

/** What was drilled, each step, what was found, what a recovery would do, and the verdict. */
export function drillLines(report: DrillReport, style: Style): readonly string[] {
  const { snapshot, chosen, kind, bytes, files, records, steps, problems, findings, recovery, damage } =
    report;
  const content =
    kind === null
      ? ''
      : `: ${kind}, ${formatBytes(bytes)} in ${counted(files, 'file')}, ${counted(records, 'record')}`;
  return [
    ...(snapshot === null ? [] : [`Snapshot ${snapshot} (${reasons[chosen]})${content}`]),
    ...(damage === null ? [] : [`rehearsed  ${printable(damage.what)}`]),
    ...steps.map((step) => stepLine(step, report, style)),
    ...problems.map(({ message }) => `${style.red('found')}    ${printable(message)}`),
    ...findings.map((message) => `${style.yellow('finding')}  ${printable(message)}`),
    ...(recovery === null ? [] : [`recovery ${printable(recovery.message)}`]),
    verdict(report, style),
  ];
}

function stepLine({ name, outcome, tookMs }: DrillStep, { server }: DrillReport, style: Style): string {
  const mark = {
    passed: style.green('ok     '),
    failed: style.red('failed '),
    skipped: style.yellow('skipped'),
  };
  const more = name !== 'server' ? '' : serverText(server);
  return `${mark[outcome]}  ${stepNames[name]}${more}, ${formatDuration(tookMs)}`;
}

function serverText({ state, name, version, boots, why }: DrillReport['server']): string {
  if (state === 'none') return why === null ? '' : `: ${printable(why)}`;
  const again = boots > 1 ? `, after ${boots - 1} that dropped a connection` : '';
  return ` ${printable(name ?? '')}${version === null ? '' : ` (${printable(version)})`}${again}`;
}

function verdict({ type, damage, problems, recovery, tookMs }: DrillReport, style: Style): string {
  const took = formatDuration(tookMs);
  if (damage === null)
    return type === 'passed'
      ? `Passed in ${took}`
      : style.red(`Failed: ${counted(problems.length, 'problem')}; took ${took}`);
  if (type === 'passed') return `Passed in ${took}: the damage was found, and the recovery works`;
  return style.red(
    problems.length === 0
      ? `Failed: the damage was not found; took ${took}`
      : `Failed: ${recovery?.works === true ? 'the snapshot was damaged before' : 'nothing recovers it'}; took ${took}`,
  );
}
