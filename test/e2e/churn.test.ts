import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import type { BusyWriter } from '../support/busy-writer.ts';
import { forkBusyWriter } from '../support/busy-writer-process.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { churned, startCollectionChurn } from '../support/collection-churn.ts';
import { checkRestored, describeFindings } from '../support/oracle.ts';

const copies = Number(process.env['SYNC_AGENT_TEST_HOT_COPIES'] ?? 4);
/** Much longer than a capture takes on two busy cores, much shorter than the wait for a pickle that never comes. */
const longestMs = 10_000;
/**
 * The server keeps four files of each deleted collection open and leaves its folder of five on disk. Without a pause it
 * reaches a limit of 20,000 descriptors within five minutes, and its own writes fail.
 */
const fewCopies = 4;

describe.skipIf(chromaAvailable() !== undefined)('a Chroma server whose collections come and go', () => {
  let root: string;
  let server: ChromaServer;
  let writer: BusyWriter;
  let agent: Agent;
  let capturedAt = 0;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-churn-'));
    server = await startChromaServer({ path: join(root, 'store') });
    writer = await forkBusyWriter({ port: server.port, workers: 2, pauseMs: 20 });
    agent = createAgent(
      { store: join(root, 'store'), remote: `file://${join(root, 'remote')}` },
      {
        emit: ({ type }) => {
          if (type === 'captured') capturedAt = performance.now();
        },
      },
    );
  });

  afterEach(async () => {
    await writer?.stop();
    await server?.stop();
    await agent?.close();
    await rm(root, { recursive: true, force: true });
  });

  it.each([
    ['twice a second', 500, copies],
    ['without a pause', 0, Math.min(copies, fewCopies)],
  ])(
    'is captured in time when they do %s, each copy good, and no writer sees an error',
    async (_, pauseMs, count) => {
      const churn = startCollectionChurn(server.port, { pauseMs });
      const took: number[] = [];
      const bad: string[] = [];
      try {
        for (let copy = 1; copy <= count; copy += 1) {
          const from = await writer.checkpoint();
          const start = performance.now();
          // Records of collections that come and go are no loss.
          const result = await agent.backup({ force: true, allowShrink: true });
          took.push(Math.round(capturedAt - start));
          const expectation = await writer.expectation(from);
          expect(result.type).toBe('committed');
          const to = join(root, 'copy');
          await agent.restoreTo(to);
          const findings = await checkRestored(to, expectation, { passing: churned });
          if (findings.length > 0) bad.push(`copy ${copy}: ${describeFindings(findings)}`);
          await rm(to, { recursive: true });
        }
      } finally {
        await churn.stop();
      }
      const report = await writer.report();
      console.log(
        `${churn.rounds()} collections came and went; captures took ${took.join(', ')} ms; ` +
          `${report.operations} writes, slowest ${report.longestWriteMs.toFixed(0)} ms`,
      );
      expect(bad).toEqual([]);
      expect(report.failures).toEqual([]);
      expect(Math.max(...took)).toBeLessThan(longestMs);
    },
    60_000 + copies * 30_000,
  );
});
