import { setTimeout as sleep } from 'node:timers/promises';
import type { DaemonStatus } from '../../src/api/daemon-status.ts';
import { scanStore } from '../../src/stores/content/scan.ts';
import { fingerprint } from '../../src/stores/content/fingerprint.ts';
import { expectationOf, liveIds, restoreBeside } from './copies.ts';
import { agentOf, checkpointOf, command, eraOf, sawLine, storeOf } from './stage.ts';
import type { Stage } from './stage.ts';
import { iso } from './audit-schedule.ts';

/** What a backup may take on a busy machine beyond its time. */
const patienceMs = 60_000;

/** Waits for a backup that began after now and ended well: whatever was wrong is over. */
export async function recovered(stage: Stage, why: string): Promise<void> {
  const sinceMs = Date.now();
  const watched = agentOf(stage);
  const isStart = (line: { readonly type: string; readonly [field: string]: unknown }): boolean =>
    line.type === 'operation-finished' && line['operation'] === 'backup' && line['outcome'] === 'committed';
  const line = await sawLine(
    stage,
    watched,
    `a backup after ${why}`,
    sinceMs,
    isStart,
    2 * stage.intervalMs + patienceMs,
  );
  if (line !== undefined) stage.figures.time(`first backup after ${why}`, Date.parse(line.time) - sinceMs);
}

/** `/status.json` until it pleases, or a finding. */
export async function statusThat(
  stage: Stage,
  what: string,
  isIt: (status: DaemonStatus) => boolean,
  forMs = 2 * stage.intervalMs + patienceMs,
): Promise<DaemonStatus | undefined> {
  const untilMs = Date.now() + forMs;
  for (;;) {
    const status = await statusNow(stage);
    if (status !== undefined && isIt(status)) return status;
    if (Date.now() > untilMs) {
      const seen = JSON.stringify({ ...status, history: undefined, recentEvents: undefined });
      stage.figures.find(`the status never said that ${what}: ${seen}`);
      return undefined;
    }
    await sleep(200);
  }
}

export async function statusNow(stage: Stage): Promise<DaemonStatus | undefined> {
  const url = String(agentOf(stage).agent.log.find(({ type }) => type === 'listening')?.['url']);
  const answer = await fetch(`${url}status.json`, { signal: AbortSignal.timeout(3000) }).catch(
    () => undefined,
  );
  return (await answer?.json().catch(() => undefined)) as DaemonStatus | undefined;
}

const isClean = ({ state, dirtySinceMs, running }: DaemonStatus): boolean =>
  state === 'idle' && dirtySinceMs === null && running === null;

/** How long nothing is asked of the remote while nothing changes; the watcher's own look comes within. */
const silenceMs = 12_000;

/**
 * The writer pauses: all is saved by one trailing backup, which a restored copy proves; then nothing is asked of the remote.
 * `during` happens in the silence.
 */
export async function quietly(stage: Stage, during?: () => Promise<void>): Promise<void> {
  const { figures, channel } = stage;
  const era = eraOf(stage);
  await era.life.pause();
  const pausedMs = Date.now();
  try {
    // The server may still write for itself; its last event is on its way for a moment.
    await sleep(1500);
    const clean = await statusThat(stage, 'all is saved', isClean);
    if (clean === undefined) return;
    figures.time('pause of the writer to all saved', Date.now() - pausedMs);
    const [newest] = (await liveIds(stage)).slice(-1);
    if (clean.lastSnapshot?.id !== newest)
      figures.find(`all is saved in ${clean.lastSnapshot?.id}, the newest is ${newest}`);
    const before = {
      requests: channel.requests(),
      digest: await digestOf(stage),
      log: agentOf(stage).agent.log.length,
    };
    await Promise.all([sleep(silenceMs), during?.()]);
    const after = { requests: channel.requests(), digest: await digestOf(stage) };
    if (after.digest !== before.digest) figures.count('quiet phases', 'in which the server wrote by itself');
    else if (after.requests !== before.requests) {
      const lines = agentOf(stage)
        .agent.log.slice(before.log)
        .map(({ msg, time }) => `${time} ${msg}`);
      figures.find(
        `${after.requests - before.requests} requests while nothing changed: ${lines.join(' | ')}`,
      );
    } else figures.count('quiet phases', 'without a request');
    await checkAllSaved(stage);
  } finally {
    await era.life.resume();
  }
}

/** While the writer pauses and the status is clean: the newest snapshot is the store, record by record. */
async function checkAllSaved(stage: Stage): Promise<void> {
  const era = eraOf(stage);
  const status = await statusThat(stage, 'all is saved', isClean);
  const [newest] = (await liveIds(stage)).slice(-1);
  if (status === undefined || newest === undefined) return;
  if (status.lastError !== null)
    stage.figures.find(`lastError stays when all is saved: ${status.lastError.message}`);
  const now = await checkpointOf(era);
  const { all } = await era.life.expectation(now, now);
  await restoreBeside(stage, newest, all, 'copies that must equal the paused store');
}

async function digestOf(stage: Stage): Promise<string> {
  return fingerprint(await scanStore(storeOf(stage)));
}

/** After the agent's last backup: the newest snapshot has all that was ever acknowledged. */
export async function checkFinal(stage: Stage, what: string): Promise<void> {
  const era = eraOf(stage);
  const [newest] = (await liveIds(stage)).slice(-1);
  if (newest === undefined) {
    stage.figures.find(`there is no snapshot after ${what}`);
    return;
  }
  const now = await checkpointOf(era);
  const { all } = await era.life.expectation(now, now);
  await restoreBeside(stage, newest, all, `copies after ${what}`);
}

/** As after a disaster: restores the newest snapshot in place. Resolves to what it may hold. */
export async function restoreInPlace(stage: Stage): ReturnType<typeof expectationOf> {
  const [newest = ''] = (await liveIds(stage)).slice(-1);
  const expected = await expectationOf(stage, newest);
  const { exitCode, result, said } = await command(stage, ['restore']);
  if (exitCode !== 0 || result['id'] !== newest)
    stage.figures.find(`at ${iso(Date.now())}, a restore of ${newest} to an empty disk: ${said}`);
  return expected;
}
