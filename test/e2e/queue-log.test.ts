import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { isSyncAgentError } from '../../src/platform/errors.ts';
import type { LogPosition, LogReading } from '../../src/stores/operation-log.ts';
import { Spool } from '../../src/engine/continuous/reading/spool.ts';
import { queueLog } from '../../src/stores/chroma/log/queue-log.ts';
import { forkBusyWriter } from '../support/busy-writer-process.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { churned, startCollectionChurn } from '../support/collection-churn.ts';
import { checkRestored, describeFindings } from '../support/oracle.ts';

const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1e6);
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-queue-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

type Entries = Extract<LogReading, { type: 'entries' }>;

/** Follows a queue from where it stands until `isOver`, and once more. */
async function follow(store: string, spool: Spool, isOver: () => boolean): Promise<readonly LogReading[]> {
  const readings: LogReading[] = [];
  const follower = queueLog.follow(store);
  const from: LogPosition = { ...follower.position(), rest: '' };
  follower.start(from);
  spool.startAt(from);
  try {
    for (;;) {
      const over = isOver();
      try {
        for (;;) {
          const reading = follower.hasChanged() ? follower.read(1 << 20) : undefined;
          if (reading === undefined) break;
          readings.push(reading);
          if (reading.type === 'gap') return readings;
          spool.add(reading, Date.now());
        }
      } catch (error) {
        if (!isSyncAgentError(error, 'BUSY')) throw error;
        continue;
      }
      if (over) return readings;
      await sleep(10);
    }
  } finally {
    follower.close();
  }
}

function apply(dir: string, entries: readonly Entries[]): LogPosition {
  const target = queueLog.openTarget(dir);
  try {
    for (const { cutTo, operations, rest } of entries) {
      if (cutTo !== undefined) target.cut(cutTo);
      for (const { text } of operations) target.put(text);
      for (const line of rest ?? []) target.put(line);
    }
    return target.finish();
  } finally {
    target.close();
  }
}

describe.skipIf(chromaAvailable() !== undefined)("a real server's queue", () => {
  it('is read beside busy writers, and put into an older copy, from which a new server has every record', async () => {
    console.log(`seed ${seed}`);
    const store = join(root, 'store');
    const server = await startChromaServer({ path: store });
    const writer = await forkBusyWriter({ port: server.port, seed, pauseMs: 10 });
    const churn = startCollectionChurn(server.port, { pauseMs: 60 });
    await sleep(300);
    let isOver = false;
    const spool = new Spool(1 << 26);
    const following = follow(store, spool, () => isOver);
    await sleep(300);
    const agent = createAgent({ store, remote: `file://${join(root, 'remote')}` });
    await agent.backup();
    const base = join(root, 'base');
    await agent.restoreTo(base);
    await agent.close();
    await sleep(2000);
    await churn.stop();
    await writer.stop();
    const end = await writer.checkpoint();
    isOver = true;
    const readings = await following;
    await server.stop('SIGKILL');

    expect(readings.filter(({ type }) => type === 'gap')).toEqual([]);
    const from = queueLog.positionOf(base, join(root, 'scratch'));
    if (from === undefined) throw new Error('the base has no position');
    const batches = spool.after(from) ?? [];
    console.log({ readings: readings.length, after: batches.length, rounds: churn.rounds() });
    expect(batches.length).toBeGreaterThan(10);
    expect(apply(base, batches)).toEqual(batches.at(-1)?.to);
    const findings = await checkRestored(base, await writer.expectation(end), { passing: churned });
    expect(describeFindings(findings)).toBe('no findings');
  }, 60_000);
});
