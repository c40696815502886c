import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readLog } from '../../src/log/commit-log.ts';
import type { Expectation } from '../../test/support/busy-writer.ts';
import { checkRestored, describeFindings } from '../../test/support/oracle.ts';
import { checkpointOf, command } from './stage.ts';
import type { Era, Stage } from './stage.ts';
import { instantOf, timeOf } from './turns.ts';
import { logOf } from '../../test/support/log-of.ts';

/** Whose content a snapshot has; undefined when it was captured while eras changed. */
export function eraOfSnapshot({ eras }: Stage, id: string): Era | undefined {
  const atMs = instantOf(id);
  return eras.find((era) => atMs >= era.readyMs && atMs < era.leftMs && !era.isForgotten);
}

/** What a snapshot may hold: all that was acknowledged before its capture began, nothing that was sent after its commit. */
export async function expectationOf(stage: Stage, id: string): ReturnType<Era['life']['expectation']> {
  const era = eraOfSnapshot(stage, id);
  if (era === undefined) throw new Error(`Nobody knows what snapshot ${id} should hold`);
  const committedMs = committedMsOf(stage, id) ?? Date.now();
  return era.life.expectation(
    era.timeline.before(instantOf(id)),
    era.timeline.after(committedMs) ?? (await checkpointOf(era)),
  );
}

function committedMsOf({ agents, byHand }: Stage, id: string): number | undefined {
  for (const { agent } of agents) {
    const line = agent.log.find(({ type, id: made }) => type === 'committed' && made === id);
    if (line !== undefined) return timeOf(line);
  }
  return byHand.get(id);
}

/** What the remote holds, oldest first. */
export async function liveIds({ direct, seen }: Stage): Promise<readonly string[]> {
  const ids = (await readLog(logOf(direct))).snapshots.map(({ entry }) => entry.id);
  for (const id of ids) seen.add(id);
  return ids;
}

/** Restores live snapshots beside at random times, and has the oracle look at each. */
export async function keepRestoring(stage: Stage, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await sleep(8000 + stage.random() * 10_000);
    const known = (await liveIds(stage)).filter((id) => eraOfSnapshot(stage, id) !== undefined);
    const id = known[stage.random() < 0.6 ? known.length - 1 : Math.floor(stage.random() * known.length)];
    if (id === undefined || isOver()) continue;
    const { all } = await expectationOf(stage, id);
    await restoreBeside(stage, id, all);
  }
}

/** Restores a snapshot to a directory of its own and compares it. */
export async function restoreBeside(
  stage: Stage,
  id: string,
  expected: Expectation,
  what = 'copies beside',
): Promise<void> {
  const { figures, scratch } = stage;
  const to = join(scratch, `copy-of-${id}-${Math.floor(stage.random() * 1e9)}`);
  try {
    const args = ['restore', '--to', to, '--snapshot', id];
    const { exitCode, said } = await command(stage, args, { isDirect: true, store: join(scratch, 'none') });
    if (exitCode === 0) await look(stage, what, to, expected);
    else if ((await liveIds(stage)).includes(id)) figures.find(`a live snapshot cannot be restored: ${said}`);
    else figures.count('checked', 'rotated away before it was restored');
  } finally {
    await rm(to, { recursive: true, force: true });
  }
}

export async function look(stage: Stage, what: string, store: string, expected: Expectation): Promise<void> {
  const { figures } = stage;
  const began = performance.now();
  const findings = await checkRestored(store, expected);
  figures.time('check by the oracle', performance.now() - began);
  let records = 0;
  for (const collection of expected.records.values()) records += collection.size;
  figures.count('checked', what);
  figures.count('checked', 'records compared', records);
  if (findings.length > 0) figures.find(`${what} "${store}": ${describeFindings(findings)}`);
}
