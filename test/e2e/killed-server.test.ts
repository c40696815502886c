import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, describe, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { isSyncAgentError } from '../../src/platform/errors.ts';
import { forkBusyWriter } from '../support/busy-writer-process.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { checkRestored, describeFindings } from '../support/oracle.ts';

const kills = 4;
/** Three images, the second and third after five seconds' rest; not the half minute of a server that may go on. */
const longestMs = 20_000;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-killed-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** The folder of an index of which a file is newer than its pickle. */
function findPersist(store: string): string | undefined {
  return readdirSync(store, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(store, name))
    .find((folder) => {
      const [header, pickle] = ['header.bin', 'index_metadata.pickle'].map((name) =>
        statSync(join(folder, name), { bigint: true, throwIfNoEntry: false }),
      );
      return header !== undefined && pickle !== undefined && header.mtimeNs > pickle.mtimeNs;
    });
}

describe.skipIf(chromaAvailable() !== undefined)(
  'a Chroma server that is killed in the middle of a persist',
  () => {
    it(
      'leaves a store that is backed up, or found damaged, within seconds; what is backed up is good',
      async () => {
        const outcomes: string[] = [];
        for (let kill = 1; kill <= kills; kill += 1) {
          const store = join(root, `store-${kill}`);
          const server = await startChromaServer({ path: store });
          const writer = await forkBusyWriter({ port: server.port, seed: kill });
          const from = await writer.checkpoint();
          const searchUntil = performance.now() + 20_000;
          while (findPersist(store) === undefined && performance.now() < searchUntil) await setImmediate();
          await server.stop('SIGKILL');
          await writer.stop();

          const agent = createAgent({ store, remote: `file://${join(root, `remote-${kill}`)}` });
          const start = performance.now();
          const outcome = await agent.backup().then(
            ({ type }) => type,
            (error: unknown) => (isSyncAgentError(error) ? error.code : String(error)),
          );
          const took = performance.now() - start;
          outcomes.push(`${outcome} after ${Math.round(took)} ms`);
          expect(['committed', 'STORE_CORRUPT']).toContain(outcome);
          expect(took).toBeLessThan(longestMs);
          if (outcome === 'committed') {
            const to = join(root, `copy-${kill}`);
            await agent.restoreTo(to);
            // Whatever was acknowledged before the kill; what was not may be there, too.
            const findings = await checkRestored(to, await writer.expectation(from));
            expect(describeFindings(findings)).toBe('no findings');
          }
          await agent.close();
        }
        console.log(outcomes.join('; '));
      },
      60_000 * kills,
    );
  },
);
