import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import type { BusyWriter } from '../support/busy-writer.ts';
import { forkBusyWriter } from '../support/busy-writer-process.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { checkRestored, describeFindings } from '../support/oracle.ts';

const copies = Number(process.env['SYNC_AGENT_TEST_HOT_COPIES'] ?? 4);
const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1_000_000);

describe.skipIf(chromaAvailable() !== undefined)('a busy Chroma server', () => {
  let root: string;
  let server: ChromaServer;
  let writer: BusyWriter;
  let agent: Agent;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-hot-'));
    server = await startChromaServer({ path: join(root, 'store') });
    writer = await forkBusyWriter({ port: server.port, seed });
    agent = createAgent({ store: join(root, 'store'), remote: `file://${join(root, 'remote')}` });
    console.log(`hot copies: seed ${seed}`);
  });

  afterAll(async () => {
    await writer?.stop();
    await server?.stop();
    await agent?.close();
    await rm(root, { recursive: true, force: true });
  });

  it(
    `is captured ${copies} times, each copy holding every acknowledged record, while no writer sees an error`,
    async () => {
      const holds: number[] = [];
      const bad: string[] = [];
      for (let copy = 1; copy <= copies; copy += 1) {
        const from = await writer.checkpoint();
        const result = await agent.backup({ force: true });
        const expectation = await writer.expectation(from);
        expect(result.type).toBe('committed');
        if (result.type !== 'committed') return;
        holds.push(result.longestHoldMs);
        const to = join(root, `copy-${copy}`);
        await agent.restoreTo(to);
        const findings = await checkRestored(to, expectation);
        if (findings.length > 0) bad.push(`copy ${copy} (seed ${seed}): ${describeFindings(findings)}`);
        await rm(to, { recursive: true });
      }
      const report = await writer.report();
      console.log(
        `${copies} copies, ${bad.length} bad; ${report.operations} writes, slowest ${report.longestWriteMs.toFixed(0)} ms; ` +
          `writers held back ${Math.max(...holds).toFixed(0)} ms at most`,
      );
      expect(bad).toEqual([]);
      expect(report.failures).toEqual([]);
    },
    60_000 + copies * 20_000,
  );
});
