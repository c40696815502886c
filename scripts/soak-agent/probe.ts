import { setTimeout as sleep } from 'node:timers/promises';
import type { DaemonStatus } from '../../src/api/daemon-status.ts';
import { readinessOf } from '../../src/web/readiness.ts';
import { summaryOf } from '../../src/web/page/summary.ts';
import { liveIds } from './copies.ts';
import type { Stage, Watched } from './stage.ts';
import { vitalSigns } from './vital-signs.ts';

const everyMs = 400;
const patienceMs = 3000;

/** Asks the agent that runs how it is, all the time, by every endpoint, and looks at its process. */
export async function keepProbing(stage: Stage, isOver: () => boolean): Promise<void> {
  for (let round = 0; !isOver(); round += 1) {
    await sleep(everyMs);
    const watched = stage.agents.at(-1);
    const url = watched?.agent.log.find(({ type }) => type === 'listening')?.['url'] as string | undefined;
    if (watched === undefined || url === undefined || watched.isEnding) continue;
    const endpoints = [readyTells, metricsTell, pageTells, historyTells] as const;
    try {
      await askStatus(watched, url);
      await endpoints[round % endpoints.length]?.(stage, watched, url);
      stage.figures.count('asked', 'times');
    } catch (error) {
      if (watched.isEnding || isStopped(stage)) continue;
      stage.figures.find(`agent ${watched.pid} does not answer: ${String(error)}`);
    }
    if (round % 3 !== 0) continue;
    const signs = await vitalSigns(watched.pid);
    if (signs !== undefined && !watched.isEnding) watched.signs.push(signs);
  }
}

const isStopped = ({ troubles }: Stage): boolean =>
  troubles.some(({ what, toMs }) => what === 'stopped' && toMs > Date.now() - 2 * patienceMs);

async function get(url: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(url, { signal: AbortSignal.timeout(patienceMs) });
  return { status: response.status, text: await response.text() };
}

async function askStatus(watched: Watched, url: string): Promise<DaemonStatus> {
  const askedMs = Date.now();
  const { text } = await get(`${url}status.json`);
  const status = JSON.parse(text) as DaemonStatus;
  const { history: _, recentEvents: __, ...poll } = status;
  watched.polls.push({ askedMs, answeredMs: Date.now(), status: poll });
  return status;
}

/** Asks between two looks at the status; undefined unless both say the same. */
async function between(
  watched: Watched,
  url: string,
  ask: () => Promise<{ readonly status: number; readonly text: string }>,
): Promise<
  | {
      readonly status: DaemonStatus;
      readonly status2: DaemonStatus;
      readonly answer: { readonly status: number; readonly text: string };
    }
  | undefined
> {
  const status = await askStatus(watched, url);
  const answer = await ask();
  const status2 = await askStatus(watched, url);
  return essence(status) === essence(status2) ? { status, status2, answer } : undefined;
}

const essence = (status: DaemonStatus): string =>
  JSON.stringify([
    status.state,
    status.dirtySinceMs,
    status.nextBackupAtMs,
    status.lastSuccessAtMs,
    status.isOverdue,
    status.lastError,
    status.lastSnapshot,
    status.running?.operation,
    status.tips,
    status.history?.asOfMs,
  ]);

async function readyTells({ figures }: Stage, watched: Watched, url: string): Promise<void> {
  const found = await between(watched, url, () => get(`${url}readyz`));
  if (found === undefined) return;
  const { isReady } = readinessOf(found.status, Date.now());
  if (found.answer.status !== (isReady ? 200 : 503))
    figures.find(
      `/readyz of agent ${watched.pid} is ${found.answer.status} while it is ${found.status.state}`,
    );
  figures.count('asked', '/readyz compared');
}

async function metricsTell({ figures }: Stage, watched: Watched, url: string): Promise<void> {
  const found = await between(watched, url, () => get(`${url}metrics`));
  if (found === undefined) return;
  const { status, answer } = found;
  const seconds = (ms: number | null | undefined): number | undefined =>
    typeof ms === 'number' ? ms / 1000 : undefined;
  const expected: Readonly<Record<string, number | undefined>> = {
    sync_agent_dirty: status.dirtySinceMs === null ? 0 : 1,
    sync_agent_dirty_since_timestamp_seconds: seconds(status.dirtySinceMs),
    sync_agent_next_backup_timestamp_seconds: seconds(status.nextBackupAtMs),
    sync_agent_last_success_timestamp_seconds: seconds(status.lastSuccessAtMs),
    sync_agent_last_snapshot_timestamp_seconds: seconds(status.lastSnapshot?.createdAtMs),
    sync_agent_running: status.running === null ? 0 : 1,
    sync_agent_overdue: status.isOverdue ? 1 : 0,
    sync_agent_snapshots: status.history?.snapshots.length,
  };
  for (const [name, value] of Object.entries(expected)) {
    const text = new RegExp(`^${name} (\\S+)$`, 'm').exec(answer.text)?.[1];
    const told = text === undefined ? undefined : Number(text);
    if (told !== value)
      figures.find(`metric ${name} of agent ${watched.pid} is ${told}, the status says ${value}`);
  }
  figures.count('asked', '/metrics compared');
}

async function pageTells({ figures }: Stage, watched: Watched, url: string): Promise<void> {
  const beforeMs = Date.now();
  const found = await between(watched, url, () => get(url));
  if (found === undefined) return;
  const text = found.answer.text
    .replace(/^[^]*?<h1>([^]*?)<\/h1>[^]*$/, '$1')
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
  // The page tells ages, which differ by the moment.
  const headlines = [beforeMs, Date.now()].flatMap((nowMs) =>
    [found.status, found.status2].map((status) => summaryOf(status, nowMs).headline),
  );
  const words = (sentence: string): string => sentence.replaceAll(/\d+/g, '').trim();
  if (!headlines.map(words).includes(words(text)))
    figures.find(`the page of agent ${watched.pid} says "${text}", its status "${headlines.join('" or "')}"`);
  figures.count('asked', '/ compared');
}

/** The history is what the remote holds, as long as nobody else changes it. */
async function historyTells(stage: Stage, watched: Watched, url: string): Promise<void> {
  const { figures } = stage;
  if (stage.isCrowded) return;
  const before = await askStatus(watched, url);
  const live = await liveIds(stage);
  const after = await askStatus(watched, url);
  const { history } = before;
  const isSame = essence(before) === essence(after) && before.running === null;
  // Of what somebody else did since it asked, an agent cannot know.
  const isOthers = [...stage.byHand.values()].some(
    (atMs) => history !== null && atMs > history.asOfMs - 1000,
  );
  if (!isSame || history === null || isOthers || stage.isCrowded) return;
  // One that was killed after its commit left a snapshot, of which the next one learns when it asks.
  const told = history.snapshots.map(({ id }) => id);
  if (told.join() !== live.join())
    figures.find(`agent ${watched.pid} tells of ${told.join(', ')}, the remote holds ${live.join(', ')}`);
  figures.count('asked', 'history compared');
}
