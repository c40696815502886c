import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import type { AgentEvent } from '../../src/platform/events.ts';
import type { BusyWriter } from '../support/busy-writer.ts';
import { forkBusyWriter } from '../support/busy-writer-process.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { checkRestored, describeFindings } from '../support/oracle.ts';
import { missingTools } from '../support/tools.ts';

const copies = Number(process.env['SYNC_AGENT_TEST_HOT_COPIES'] ?? 4);
const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1_000_000);

describe.skipIf(chromaAvailable() !== undefined)('a busy Chroma server', () => {
  let root: string;
  let server: ChromaServer;
  let writer: BusyWriter;
  let agent: Agent;
  /** Does not see the server, as if that ran in another container. So it tries to read the store where it lies. */
  let blind: Agent;
  const blindEvents: AgentEvent[] = [];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-hot-'));
    server = await startChromaServer({ path: join(root, 'store') });
    // One writer that has written little may delete most of it.
    const settings = { store: join(root, 'store'), remote: `file://${join(root, 'remote')}`, maxShrink: 1 };
    agent = createAgent(settings);
    blind = createAgent(settings, {
      findStoreUsers: async () => [],
      emit: (event) => blindEvents.push(event),
    });
    console.log(`hot copies: seed ${seed}`);
  });

  afterEach(async () => {
    await writer?.stop();
    await server?.stop();
    await agent?.close();
    await blind?.close();
    await rm(root, { recursive: true, force: true });
  });

  /** What is wrong with each of so many copies, made while the server writes; and how long writers were held back, milliseconds. */
  async function copy(
    count: number,
    from: Agent,
  ): Promise<{ readonly bad: readonly string[]; readonly longestHoldMs: number }> {
    const bad: string[] = [];
    let longestHoldMs = 0;
    for (let number = 1; number <= count; number += 1) {
      const checkpoint = await writer.checkpoint();
      const result = await from.backup({ force: true });
      const expectation = await writer.expectation(checkpoint);
      if (result.type !== 'committed') throw new Error(`${result.type} instead of committed`);
      longestHoldMs = Math.max(longestHoldMs, result.longestHoldMs);
      const to = join(root, `copy-${number}`);
      await agent.restoreTo(to);
      const findings = await checkRestored(to, expectation);
      if (findings.length > 0) bad.push(`copy ${number} (seed ${seed}): ${describeFindings(findings)}`);
      await rm(to, { recursive: true });
    }
    return { bad, longestHoldMs };
  }

  it(
    `is captured ${copies} times, each copy holding every acknowledged record, while no writer sees an error`,
    async () => {
      writer = await forkBusyWriter({ port: server.port, seed });
      const { bad, longestHoldMs } = await copy(copies, agent);
      const report = await writer.report();
      console.log(
        `${copies} copies, ${bad.length} bad; ${report.operations} writes, slowest ${report.longestWriteMs.toFixed(0)} ms; ` +
          `writers held back ${longestHoldMs.toFixed(0)} ms at most`,
      );
      expect(bad).toEqual([]);
      expect(report.failures).toEqual([]);
    },
    60_000 + copies * 20_000,
  );

  it('is checked, inspected and exported while it writes, and no writer sees an error', async () => {
    writer = await forkBusyWriter({ port: server.port, seed });
    await writer.checkpoint();
    const from = await writer.report();
    const checked = await agent.check();
    const inspected = await agent.inspect();
    const exported = await agent.exportTo(join(root, 'export'));
    const report = await writer.report();
    console.log(`${report.operations} writes, slowest ${report.longestWriteMs.toFixed(0)} ms`);
    expect(checked).toMatchObject({ isSound: true, source: 'image', damage: [] });
    expect(inspected).toMatchObject({ source: 'image' });
    expect(exported.collections.map(({ name }) => name).toSorted()).toEqual(
      checked.collections.map(({ name }) => name).toSorted(),
    );
    expect(report.operations).toBeGreaterThan(from.operations);
    expect(report.failures).toEqual([]);
  }, 60_000);

  it.skipIf(missingTools(['unzip'], 'an archive of a busy server') !== undefined)(
    'is archived while it writes, and plain unzip makes a store of it that has every acknowledged record',
    async () => {
      writer = await forkBusyWriter({ port: server.port, seed });
      const checkpoint = await writer.checkpoint();
      const { path } = await agent.archiveTo(join(root, 'archives'));
      const expectation = await writer.expectation(checkpoint);
      const report = await writer.report();
      execFileSync('unzip', ['-q', path, '-d', join(root, 'unzipped')]);
      expect(await checkRestored(join(root, 'unzipped', 'store'), expectation)).toEqual([]);
      expect(report.failures).toEqual([]);
    },
    60_000,
  );

  const unseen = Math.ceil(copies / 2);
  it(
    `is captured ${unseen} times by who does not see it, and so may begin to read its store where it lies`,
    async () => {
      writer = await forkBusyWriter({ port: server.port, seed, workers: 1, pauseMs: 400 });
      const { bad } = await copy(unseen, blind);
      const report = await writer.report();
      const began = blindEvents.filter((event) => event.type === 'captured' && event.attempts === 1);
      console.log(
        `${unseen} copies, ${bad.length} bad; ${report.operations} writes; images begun: ${began.length}`,
      );
      expect(bad).toEqual([]);
      expect(report.failures).toEqual([]);
    },
    60_000 + copies * 20_000,
  );
});
