import type {
  AgentEvent,
  LeaseEvent,
  BackupReason,
  ChangeSource,
  DaemonEvent,
  Operation,
} from '../platform/events.ts';
import { linesOf, phaseNames, divergenceOf } from './events.ts';
import { counted, formatBytes, formatDuration, formatUtc, printable } from './format.ts';
import { amounts } from './progress.ts';
import { plainStyle } from './style.ts';

export type EventLevel = 'debug' | 'info' | 'warn' | 'error';

export interface EventText {
  readonly level: EventLevel;
  /** One line, without a final period and without control characters. */
  readonly sentence: string;
}

/** The name of each operation in "… failed" and "… ended". */
export const operationNames: Readonly<Record<Operation, string>> = {
  backup: 'Backup',
  restore: 'Restore',
  sync: 'Sync',
  list: 'Look at the remote',
  lease: 'Lease',
  check: 'Check',
  drill: 'Drill',
  copy: 'Copy',
};

export const reasonNames: Readonly<Record<BackupReason, string>> = {
  change: 'the store changed',
  'fixed-time': 'it is the fixed time',
  retry: 'the one before failed',
  log: 'the log of writes goes on from it',
  shutdown: 'the agent stops',
  'command-exit': 'the application ended',
  demand: 'somebody asked for it',
};

const sources: Readonly<Record<ChangeSource, string>> = {
  events: 'its files changed',
  polling: 'a look at it found changes',
  notify: 'the application said so',
  start: 'it differed at the start',
};

/** Every event as a line of a log: for people, and the `msg` of a structured one. */
export function describeEvent(event: DaemonEvent | AgentEvent): EventText {
  const { level, sentence } = textOf(event);
  return { level, sentence: printable(sentence) };
}

function textOf(event: DaemonEvent | AgentEvent): EventText {
  switch (event.type) {
    case 'started':
      return info(`Started; ${whenBackedUp(event)}`);
    case 'watching': {
      const how = event.by === 'events' ? 'as they happen' : 'by looking again and again';
      return info(`Changes are noticed ${how}${event.why === undefined ? '' : `: ${event.why}`}`);
    }
    case 'changed':
      return info(`The store is ahead of its newest snapshot: ${sources[event.source]}`);
    case 'scheduled':
      return event.atMs === null
        ? debug('No backup is due')
        : info(`Next backup at ${formatUtc(event.atMs)}${because(event.reason)}`);
    case 'operation-started':
      return {
        level: isQuiet(event.operation) ? 'debug' : 'info',
        sentence: `${operationNames[event.operation]} began${because(event.reason)}`,
      };
    case 'operation-finished':
      return {
        level: isQuiet(event.operation) ? 'debug' : 'info',
        sentence: `${operationNames[event.operation]} ended after ${formatDuration(event.durationMs)}: ${event.outcome}${contentOf(event)}`,
      };
    case 'operation-failed': {
      const { message, remedy } = event.error;
      const again = event.retryAtMs === null ? '' : `; tried again at ${formatUtc(event.retryAtMs)}`;
      const advice = remedy === null ? '' : `. ${remedy}`;
      return error(`${operationNames[event.operation]} failed: ${message}${again}${advice}`);
    }
    case 'checked':
      return checkedText(event);
    case 'drilled':
      return drilledText(event);
    case 'copied': {
      const { to, newest, snapshots, sentBytes, tookMs } = event;
      return snapshots.length === 0
        ? debug(`${to} has the newest snapshot ${newest}`)
        : info(
            `Copied snapshot ${newest} to ${to} in ${formatDuration(tookMs)}: ${formatBytes(sentBytes)} sent`,
          );
    }
    case 'listening':
      return info(`Status page and metrics at ${event.url}`);
    case 'command-started':
      return info(`Started the application as pid ${event.pid}: ${event.command}`);
    case 'command-exited': {
      const how =
        event.signal === null ? `with exit code ${event.exitCode ?? 'unknown'}` : `by ${event.signal}`;
      return event.isExpected
        ? info(`The application ended ${how}`)
        : error(`The application ended unexpectedly ${how}`);
    }
    case 'recovery':
      return recoveryText(event);
    case 'stopping':
      return info(`Stopping: ${event.reason}`);
    case 'stopped':
      return stoppedText(event);
    case 'phase':
      return debug(phaseNames[event.phase]);
    case 'phases':
      return debug(
        `Where the time went: ${event.phases.map(({ phase, tookMs }) => `${phaseNames[phase].toLowerCase()} ${formatDuration(tookMs)}`).join(', ')}`,
      );
    case 'progress':
      return debug(`${phaseNames[event.phase]}: ${amounts(event)}`);
    case 'warning':
      return warn(event.remedy === undefined ? event.message : `${event.message}. ${event.remedy}`);
    case 'diverged':
      return warn(divergenceOf(event.tips));
    case 'captured':
      return debug(lineOf(event));
    case 'retry':
      return warn(lineOf(event));
    case 'lease':
      return leaseText(event);
    case 'hook':
      return event.outcome === 'ok'
        ? debug(`The ${event.hook} hook was done in ${formatDuration(event.durationMs)}`)
        : warn(
            `The ${event.hook} hook ${event.outcome === 'failed' ? 'failed' : 'was ended'}: ${event.message ?? ''}`,
          );
    case 'hook-output':
      return info(`The ${event.hook} hook printed: ${event.line}`);
    case 'log-following':
      return info(`Each write is saved from now on, behind snapshot ${event.snapshot}`);
    case 'log-pending':
      return debug('Something was written, and waits to be saved');
    case 'log-shipped':
      return debug(
        `Saved ${counted(event.operations, 'write')} in segment ${event.segment} behind snapshot ${event.snapshot}, ${formatBytes(event.bytes)}`,
      );
    case 'log-broken':
      return warn(`Writes cannot be saved one by one: ${event.why}; a snapshot is made now`);
    case 'log-trouble':
      return warn(`Writes wait to be saved: ${event.message}; tried again`);
    case 'committed':
    case 'rotated':
    case 'restored':
      return info(lineOf(event));
    default:
      return event satisfies never;
  }
}

function stoppedText({
  isSaved,
  unsavedSinceMs,
  writers = [],
}: Extract<DaemonEvent, { type: 'stopped' }>): EventText {
  const names = writers.map(({ pid, command }) => `pid ${pid} (${command})`).join(', ');
  const open = names === '' ? '' : `; the store is still open for writing in ${names}`;
  if (isSaved && open === '') return info('Stopped; all that was written is saved');
  if (isSaved)
    return warn(`Stopped after a last backup${open}: what is written from now on is in no snapshot`);
  const since = unsavedSinceMs === null ? '' : `: what was written since ${formatUtc(unsavedSinceMs)}`;
  return error(`Stopped with unsaved changes${since}${open}`);
}

function recoveryText(event: Extract<DaemonEvent, { type: 'recovery' }>): EventText {
  switch (event.state) {
    case 'began':
      return warn(`Stopping the application to recover its store, round ${event.round}`);
    case 'done':
      return warn('Recovered the store from its newest snapshot; the damaged one is a rollback copy');
    case 'given-up':
      return error(`Cannot recover the store while the application runs: ${event.why}`);
    default:
      return event satisfies never;
  }
}

function checkedText(event: Extract<DaemonEvent, { type: 'checked' }>): EventText {
  const { damage, findings, isUnchanged, server, tookMs } = event;
  if (damage.length > 0) return error(`The store is damaged: ${damage.join('; ')}`);
  if (server !== null && server.problems.length > 0)
    return error(`The store is sound, but its server fails: ${server.problems.join('; ')}`);
  const found = findings === 0 ? '' : `, with ${counted(findings, 'finding')}`;
  return isUnchanged
    ? debug(`The store was not written since it was found sound${found}`)
    : info(`The store is sound${found}; checked in ${formatDuration(tookMs)}`);
}

function drilledText(event: Extract<DaemonEvent, { type: 'drilled' }>): EventText {
  const { passed, snapshot, records, problems, recovery, server, tookMs } = event;
  const which = snapshot === null ? 'The drill' : `The drill of snapshot ${snapshot}`;
  if (!passed)
    return error(
      `${which} failed: ${problems.join('; ')}${recovery === null ? '' : `. What is left: ${recovery}`}`,
    );
  const asked = server === 'answered' ? ', and its server gave out all of it' : '';
  return info(`${which} passed in ${formatDuration(tookMs)}: ${counted(records, 'record')}${asked}`);
}

function leaseText(event: LeaseEvent): EventText {
  switch (event.state) {
    case 'renewed':
      return debug(`Renewed the lease, epoch ${event.epoch}`);
    case 'lost':
      return warn(lineOf(event).replace(/^warning: /, ''));
    case 'acquired':
    case 'released':
    case 'waiting':
      return info(lineOf(event));
    default:
      return event satisfies never;
  }
}

const debug = (sentence: string): EventText => ({ level: 'debug', sentence });
const info = (sentence: string): EventText => ({ level: 'info', sentence });
const warn = (sentence: string): EventText => ({ level: 'warn', sentence });
const error = (sentence: string): EventText => ({ level: 'error', sentence });

/** As the command line says it. */
const lineOf = (event: AgentEvent): string => linesOf(event, 'verbose', plainStyle).join(' ');

/** Events that come all the time and matter only when they fail. */
const isQuiet = (operation: Operation): boolean =>
  operation === 'list' || operation === 'lease' || operation === 'check' || operation === 'copy';

function whenBackedUp({ intervalMs, cron }: Extract<DaemonEvent, { type: 'started' }>): string {
  const when = [
    ...(intervalMs > 0 ? [`within ${formatDuration(intervalMs)}`] : []),
    ...(cron === null ? [] : [`at "${cron}"`]),
  ];
  return `changes are backed up ${when.length > 0 ? when.join(' and ') : 'when it stops'}`;
}

const because = (reason: BackupReason | null): string =>
  reason === null ? '' : `, because ${reasonNames[reason]}`;

function contentOf({ snapshot }: Extract<DaemonEvent, { type: 'operation-finished' }>): string {
  if (snapshot === null) return '';
  const { id, bytes, records, uploadBytes, heldMs } = snapshot;
  const sent = uploadBytes > 0 ? `, ${formatBytes(uploadBytes)} uploaded` : '';
  const held = heldMs > 0 ? `, writers held back ${formatDuration(heldMs)}` : '';
  return ` ${id}, ${formatBytes(bytes)}, ${counted(records, 'record')}${sent}${held}`;
}
