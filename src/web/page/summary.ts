import { isLogWhole, unsavedSince } from '../../agent/continuous/log-status.ts';
import { phaseNames } from '../../report/events.ts';
import { formatDuration } from '../../report/format.ts';
import type { DaemonStatus, LogStatus, RunningOperation } from '../../api/daemon-status.ts';
import { isFailing } from '../readiness.ts';
import { ago, ahead, shortDuration, longDuration } from './times.ts';

/** `good`: all is saved. `busy`: an operation runs. `waiting`: not saved yet, but in time. `split`: hosts diverged. */
export type Tone = 'good' | 'busy' | 'waiting' | 'bad' | 'split' | 'calm';

export interface Summary {
  readonly tone: Tone;
  /** The state in one sentence. */
  readonly headline: string;
  readonly detail: string | null;
  /** What to do. Null if there is nothing to do. */
  readonly remedy: string | null;
}

/** The worst fact decides: first what puts data at risk, then what waits for a person, then what is going on. */
export function summaryOf(given: DaemonStatus, nowMs: number): Summary {
  // What is behind a snapshot is saved, too.
  const status = { ...given, dirtySinceMs: unsavedSince(given) };
  if (status.state === 'stopped') return stopped(status, nowMs);
  if (status.check?.isSound === false) return damaged(status.check, nowMs);
  if (isFailing(status)) return failing(status, nowMs);
  if (status.isOverdue) return overdue(status, nowMs);
  if (status.tips.length > 1) return diverged(status);
  if (status.state === 'stopping') return stopping(status, nowMs);
  if (status.running?.operation === 'restore') return restoring(status.running);
  if (status.state === 'starting') return starting;
  if (isSaving(status.running)) return saving(status, status.running, nowMs);
  if (status.dirtySinceMs === null) return saved(status, nowMs);
  return isLogWhole(status.log) && nowMs - status.dirtySinceMs < Math.max(10_000, 3 * status.log.intervalMs)
    ? savingEach(status.dirtySinceMs, status.log, nowMs)
    : unsaved(status, status.dirtySinceMs, nowMs);
}

function stopped({ dirtySinceMs }: DaemonStatus, nowMs: number): Summary {
  return dirtySinceMs === null
    ? { tone: 'calm', headline: 'Stopped, and all is saved', detail: null, remedy: null }
    : {
        tone: 'bad',
        headline: `Stopped with ${longDuration(nowMs - dirtySinceMs)} of changes unsaved`,
        detail: null,
        remedy: 'Start the agent again, or run "sync-agent backup"',
      };
}

function damaged({ atMs, damage }: NonNullable<DaemonStatus['check']>, nowMs: number): Summary {
  return {
    tone: 'bad',
    headline: 'The store is damaged',
    detail: `${damage[0] ?? ''}. Found ${ago(nowMs, atMs)}.`,
    remedy: 'Run "sync-agent check": it names the command that mends each problem',
  };
}

function failing(status: DaemonStatus, nowMs: number): Summary {
  const { lastError, dirtySinceMs, running, nextBackupAtMs } = status;
  const what = lastError?.operation === 'restore' ? 'Restores' : 'Backups';
  const lost = dirtySinceMs === null ? null : `Unsaved for ${longDuration(nowMs - dirtySinceMs)}.`;
  const again = isSaving(running)
    ? 'It is being tried again now.'
    : nextBackupAtMs === null
      ? null
      : `It is tried again ${ahead(nowMs, nextBackupAtMs)}.`;
  return {
    tone: 'bad',
    headline: `${what} have failed for ${longDuration(nowMs - failingSince(status))}`,
    detail: sentences(lastError === null ? null : `${lastError.message}.`, lost, again),
    remedy:
      lastError?.remedy ?? 'Run "sync-agent doctor" on this host: it tests everything that a backup needs',
  };
}

/** When the current series of failures began, as far as the kept events show. */
function failingSince({ recentEvents, lastError, lastSuccessAtMs }: DaemonStatus): number {
  const since = lastSuccessAtMs ?? -Infinity;
  const first = recentEvents.find(
    ({ atMs, event }) =>
      atMs > since && event.type === 'operation-failed' && event.operation === lastError?.operation,
  );
  return first?.atMs ?? lastError?.atMs ?? 0;
}

function overdue(status: DaemonStatus, nowMs: number): Summary {
  const { dirtySinceMs, nextBackupAtMs, running, log } = status;
  const limit = isLogWhole(log) ? formatDuration(log.intervalMs) : shortDuration(status.intervalMs);
  const since = dirtySinceMs === null ? '' : `: unsaved for ${longDuration(nowMs - dirtySinceMs)}`;
  return {
    tone: 'bad',
    headline: `Overdue${since}`,
    detail: sentences(
      `Changes should be saved within ${limit}.`,
      logSentence(status),
      isSaving(running)
        ? 'A backup is running now.'
        : nextBackupAtMs === null
          ? 'No backup is planned.'
          : `Next backup ${ahead(nowMs, nextBackupAtMs)}.`,
    ),
    remedy:
      'Look at the recent events below, or run "sync-agent doctor": it tests everything that a backup needs',
  };
}

function diverged({ tips, history }: DaemonStatus): Summary {
  const hosts = new Set(
    history?.snapshots.filter(({ id }) => tips.includes(id)).map(({ host }) => host.slice(0, 60)),
  );
  const who = hosts.size > 1 ? [...hosts].join(' and ') : 'hosts';
  return {
    tone: 'split',
    headline: `Diverged: ${who} wrote independently`,
    detail: `${tips.length === 2 ? 'Both' : `All ${tips.length}`} lines of snapshots are kept and nothing is lost, but a person must choose one.`,
    remedy: null,
  };
}

function stopping({ dirtySinceMs, running }: DaemonStatus, nowMs: number): Summary {
  if (dirtySinceMs === null)
    return { tone: 'calm', headline: 'Stopping, and all is saved', detail: null, remedy: null };
  return {
    tone: 'busy',
    headline: 'Stopping: saving the last changes',
    detail: sentences(`Unsaved for ${longDuration(nowMs - dirtySinceMs)}.`, phaseSentence(running)),
    remedy: null,
  };
}

function restoring(running: RunningOperation): Summary {
  return {
    tone: 'busy',
    headline: 'Restoring the store',
    detail: sentences('The application should wait until this is over.', phaseSentence(running)),
    remedy: null,
  };
}

const starting: Summary = {
  tone: 'busy',
  headline: 'Starting',
  detail: 'The agent compares the store with the remote.',
  remedy: null,
};

function saving({ dirtySinceMs }: DaemonStatus, running: RunningOperation, nowMs: number): Summary {
  return {
    tone: 'busy',
    headline:
      dirtySinceMs === null
        ? 'Saving now'
        : `Saving now, after ${longDuration(nowMs - dirtySinceMs)} of changes`,
    detail: phaseSentence(running),
    remedy: null,
  };
}

/** Something is always on its way while the store is written. */
function savingEach(sinceMs: number, { intervalMs }: LogStatus, nowMs: number): Summary {
  return {
    tone: 'good',
    headline: 'Saving each write',
    detail: `Writes are saved within ${formatDuration(intervalMs)}, behind the newest snapshot. The oldest unsaved one is ${shortDuration(nowMs - sinceMs)} old.`,
    remedy: null,
  };
}

function saved({ lastSuccessAtMs, lastSnapshot, log }: DaemonStatus, nowMs: number): Summary {
  if (isLogWhole(log)) {
    const atMs = Math.max(log.lastShippedAtMs ?? 0, lastSuccessAtMs ?? 0);
    return {
      tone: 'good',
      headline: atMs === 0 ? 'All saved' : `All saved ${ago(nowMs, atMs)}`,
      detail: `Nothing has been written since. Each write is saved within ${formatDuration(log.intervalMs)}, behind the newest snapshot.`,
      remedy: null,
    };
  }
  if (lastSuccessAtMs === null && lastSnapshot === null) {
    return {
      tone: 'calm',
      headline: 'Nothing to save yet',
      detail: 'The first snapshot is made when the store has any content.',
      remedy: null,
    };
  }
  const when = lastSuccessAtMs === null ? '' : ` ${ago(nowMs, lastSuccessAtMs)}`;
  return {
    tone: 'good',
    headline: `All saved${when}`,
    detail: 'Nothing has been written since.',
    remedy: null,
  };
}

function unsaved(status: DaemonStatus, dirtySinceMs: number, nowMs: number): Summary {
  const { nextBackupAtMs, lastSuccessAtMs } = status;
  const next =
    nextBackupAtMs === null ? 'no backup is planned' : `next backup ${ahead(nowMs, nextBackupAtMs)}`;
  return {
    tone: 'waiting',
    headline: `Unsaved for ${longDuration(nowMs - dirtySinceMs)}, ${next}`,
    detail: sentences(
      logSentence(status),
      isLogWhole(status.log)
        ? 'All earlier changes are saved.'
        : lastSuccessAtMs === null
          ? 'This agent has not backed up the store yet.'
          : `All earlier changes are saved: the last backup ended ${ago(nowMs, lastSuccessAtMs)}.`,
    ),
    remedy: null,
  };
}

/** Why writes are not saved one by one. */
function logSentence({ log }: DaemonStatus): string | null {
  if (log === null) return null;
  if (log.broken !== null) return `Writes cannot be saved one by one: ${log.broken.why}.`;
  return log.trouble === null ? null : `${log.trouble.message}.`;
}

const isSaving = (running: RunningOperation | null): running is RunningOperation =>
  running !== null && (running.operation === 'backup' || running.operation === 'sync');

const phaseSentence = (running: RunningOperation | null): string | null =>
  running === null || running.phase === null ? null : `${phaseNames[running.phase]}.`;

const sentences = (...parts: readonly (string | null)[]): string =>
  parts.filter((part) => part !== null && part !== '').join(' ');
