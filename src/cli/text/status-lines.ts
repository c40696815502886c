import type { Relation } from '../../engine/relation.ts';
import type { StatusReport } from '../../engine/status.ts';
import type { RemoteUsage } from '../../engine/history/usage.ts';
import type { DrillRecord } from '../../home/records/drill-record.ts';
import { unsavedSince } from '../../agent/continuous/log-status.ts';
import type { StatusFile } from '../../api/daemon-status.ts';
import {
  counted,
  facts,
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  printable,
} from '../../report/format.ts';
import { shownLocation, shownPath } from '../../report/shown-path.ts';
import type { Place } from '../../report/shown-path.ts';
import type { Style } from '../../report/style.ts';
import { pinText } from './snapshot-text.ts';

const relations: Readonly<Record<Relation, string>> = {
  'no-store': 'there is no store; "sync-agent restore" makes one',
  'empty-remote': 'not backed up yet',
  'up-to-date': 'up to date: it equals the newest snapshot',
  changed: 'changed since the newest snapshot',
  chosen: 'restored in place of the newest snapshot: the next backup makes it the newest',
  behind: 'behind: the remote has a newer snapshot',
  diverged: 'diverged: the store and the remote both moved',
  unknown: 'unknown: the next backup or restore compares contents',
  incomplete: 'INCOMPLETE: a restore was interrupted in it; "sync-agent restore" finishes it',
};

export interface StatusSurroundings {
  readonly style: Style;
  readonly nowMs: number;
  /** The store as the user named it, absolute. It may be a link. */
  readonly store: string;
  readonly place: Place;
}

export function statusLines(
  status: StatusReport & { readonly agent: StatusFile | undefined },
  { style, nowMs, store, place }: StatusSurroundings,
): readonly string[] {
  const { relation } = status;
  const paint =
    relation === 'up-to-date'
      ? style.green
      : relation === 'diverged' || relation === 'incomplete'
        ? style.red
        : style.yellow;
  return [
    style.bold(`Store ${printable(storeTitle(status.store.path, store, place))}`),
    ...facts([
      ...storeFacts(status),
      ['state', paint(stateOf(status))],
      ...(status.parent === undefined ? [] : [['parent', status.parent] as const]),
      ...(status.journal === undefined ? [] : [['journal', status.journal] as const]),
      ['disk', `${formatBytes(status.disk.freeBytes)} free of ${formatBytes(status.disk.totalBytes)}`],
      ['rollback', rollbackLine(status)],
    ]),
    style.bold('Agent'),
    ...agentLines(status.agent, style, nowMs),
    style.bold(`Remote ${printable(shownLocation(status.remote.location, place))}`),
    ...remoteLines(status, style, nowMs),
  ];
}

function storeTitle(path: string, given: string, place: Place): string {
  const shown = shownPath(given, place);
  return path === given ? shown : `${shown}, which is ${path}`;
}

function stateOf({ relation, parent }: StatusReport): string {
  return relation === 'empty-remote' && parent !== undefined
    ? 'backed up, but the remote holds no snapshot any more'
    : relations[relation];
}

/** Says so too if no agent runs. */
function agentLines(agent: StatusFile | undefined, style: Style, nowMs: number): readonly string[] {
  if (agent === undefined) return facts([['running', 'no; "sync-agent watch" backs up after changes']]);
  const { nextBackupAtMs, lastError, running, isOverdue } = agent;
  // An older agent says nothing of these.
  const check = agent.check ?? null;
  const copy = agent.copy ?? null;
  const log = (agent.log as StatusFile['log'] | undefined) ?? null;
  const sinceMs = unsavedSince(agent);
  const at = (ms: number): string => `${new Date(ms).toISOString()}, ${relative(ms, nowMs)}`;
  return facts([
    ['running', `pid ${agent.pid} on ${printable(agent.host)}, since ${at(agent.startedAtMs)}`],
    ['unsaved', sinceMs === null ? 'nothing' : `since ${at(sinceMs)}`],
    ...(log === null ? [] : [['log', logText(log, style, nowMs)] as const]),
    ...(running === null
      ? []
      : [['working', `${running.operation} since ${at(running.startedAtMs)}`] as const]),
    ...(nextBackupAtMs === null ? [] : [['next backup', at(nextBackupAtMs)] as const]),
    ...(check === null ? [] : [['checked', `${checkText(check, style)}, ${at(check.atMs)}`] as const]),
    ...(copy === null ? [] : [['copied', copyText(copy, style, at)] as const]),
    ...(isOverdue ? [['overdue', style.red('what was written is not saved in time')] as const] : []),
    ...(lastError === null
      ? []
      : [
          [
            'last error',
            style.red(
              `${printable(lastError.message)} (${lastError.code}, ${at(lastError.atMs)})${lastError.remedy === null ? '' : `. ${printable(lastError.remedy)}`}`,
            ),
          ] as const,
        ]),
  ]);
}

function copyText(
  { to, snapshot, lastSuccessAtMs, failures, lastError }: NonNullable<StatusFile['copy']>,
  style: Style,
  at: (ms: number) => string,
): string {
  const success =
    lastSuccessAtMs === null
      ? 'nothing yet'
      : `snapshot ${snapshot} to ${printable(to ?? '')}, ${at(lastSuccessAtMs)}`;
  return failures === 0
    ? success
    : `${success}; ${style.red(`${counted(failures, 'failure')} since: ${printable(lastError?.message ?? '')}`)}`;
}

function logText(log: NonNullable<StatusFile['log']>, style: Style, nowMs: number): string {
  const { snapshot, upTo, operations, segments, bytes, lastShippedAtMs, broken, trouble, gaps } = log;
  const last = lastShippedAtMs === null ? '' : `, the last ${relative(lastShippedAtMs, nowMs)}`;
  return [
    snapshot === null
      ? 'nothing is saved behind a snapshot yet'
      : `behind ${snapshot} up to operation ${formatCount(upTo ?? 0)}: ${counted(operations, 'write')} in ${counted(segments, 'segment')}, ${formatBytes(bytes)}${last}`,
    ...(gaps === 0 ? [] : [style.yellow(counted(gaps, 'gap'))]),
    ...(broken === null ? [] : [style.red(`needs a snapshot: ${printable(broken.why)}`)]),
    ...(trouble === null ? [] : [style.red(`${printable(trouble.message)} (${trouble.code})`)]),
  ].join('; ');
}

function checkText({ damage, findings, server }: NonNullable<StatusFile['check']>, style: Style): string {
  const found = findings === 0 ? '' : `, ${counted(findings, 'finding')}`;
  const store =
    damage.length === 0 ? `sound${found}` : style.red(`damaged: ${damage.map(printable).join('; ')}`);
  const problems = server?.problems ?? [];
  return problems.length === 0
    ? store
    : `${store}, ${style.red(`server fails: ${problems.map(printable).join('; ')}`)}`;
}

function relative(ms: number, nowMs: number): string {
  return ms > nowMs ? `in ${formatDuration(ms - nowMs)}` : formatAge(nowMs - ms);
}

function storeFacts({ store }: StatusReport): readonly (readonly [string, string])[] {
  if (!store.exists) return [];
  const users = store.users
    .map(({ pid, command }) => `pid ${pid} (${printable(command).slice(0, 80)})`)
    .join(', ');
  return [
    [
      'content',
      `${store.adapter ?? 'unknown'}, ${formatBytes(store.bytes)} in ${counted(store.files, 'file')}`,
    ],
    ['in use by', users === '' ? 'nobody' : users],
  ];
}

function rollbackLine({ rollbackCopies }: StatusReport): string {
  if (rollbackCopies.length === 0) return 'no copies';
  const bytes = rollbackCopies.reduce((sum, copy) => sum + copy.bytes, 0);
  return `${rollbackCopies.length === 1 ? '1 copy' : `${rollbackCopies.length} copies`}, ${formatBytes(bytes)}`;
}

function remoteLines(
  { remote, newest, tips, pins, lease, problems, drill }: StatusReport,
  style: Style,
  nowMs: number,
): readonly string[] {
  if (!remote.isReachable) {
    const { message, remedy } = remote.error;
    return [
      `  ${style.red(printable(message))}`,
      ...(remedy === undefined ? [] : [`  ${printable(remedy)}`]),
    ];
  }
  return facts([
    [
      'newest',
      newest === undefined
        ? 'no snapshot yet'
        : `${newest.id}, ${formatAge(Math.max(0, newest.ageMs))}, generation ${newest.generation}, host ${printable(newest.host)}`,
    ],
    [
      'snapshots',
      `${formatCount(remote.snapshots)}, ${remote.isShared ? 'at most ' : ''}${formatBytes(remote.bytes)}`,
    ],
    ...(remote.usage === undefined ? [] : [['stored', usageLine(remote.usage)] as const]),
    ...(newest === undefined ? [] : [['records', formatCount(newest.records)] as const]),
    ...(problems?.damage ?? []).map(({ message }) => ['damaged', style.red(printable(message))] as const),
    ...(problems?.findings ?? []).map(
      ({ message }) => ['finding', style.yellow(printable(message))] as const,
    ),
    ...(drill === undefined ? [] : [['drilled', drillText(drill, style, nowMs)] as const]),
    ...pins.map((pin) => ['kept', `${pin.id}, ${pinText(pin)}`] as const),
    ...(lease === undefined ? [] : [['lease', leaseLine(lease)] as const]),
    ...(tips.length > 1 ? [['diverged', style.red(`tips: ${tips.join(', ')}`)] as const] : []),
    ...remote.damagedCommits.map((message) => ['damaged', style.red(printable(message))] as const),
  ]);
}

function drillText({ last, passedAtMs }: DrillRecord, style: Style, nowMs: number): string {
  const { passed, snapshot, records, problems, server, tookMs, atMs } = last;
  const when = `${formatAge(nowMs - atMs)}, snapshot ${snapshot ?? 'unknown'}`;
  if (passed) {
    const asked = server === 'answered' ? ', server answered' : ', no server tried';
    return `passed ${when}: ${counted(records, 'record')}${asked}, in ${formatDuration(tookMs)}`;
  }
  const since = passedAtMs === null ? 'never passed' : `last passed ${formatAge(nowMs - passedAtMs)}`;
  return style.red(`FAILED ${when} (${since}): ${problems.map(printable).join('; ')}`);
}

function leaseLine({ host, since, epoch, expiresInMs }: NonNullable<StatusReport['lease']>): string {
  const who = host === undefined ? 'cannot be read' : `host ${printable(host)}`;
  const from = since === undefined ? '' : ` since ${since}`;
  return `${who}${from}, epoch ${epoch}, for another ${formatDuration(expiresInMs)} unless renewed`;
}

function usageLine({ objects, bytes, isWhole }: RemoteUsage): string {
  return `${isWhole ? '' : 'more than '}${counted(objects, 'object')}, ${formatBytes(bytes)}`;
}
